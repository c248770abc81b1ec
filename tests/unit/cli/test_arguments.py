"""Which daemon is asked, and the exit codes that scripts rely on."""

import re

import pytest

from hvd.cli.arguments import EXIT_CODES, Exit
from hvd.cli.main import main
from tests.unit.cli.daemon import HEALTHY, daemon, run


def test_a_bind_to_port_0_names_no_daemon_to_ask() -> None:
    """Only the daemon knows its port then."""
    done = run("status", HVD_BIND="127.0.0.1:0", HVD_INSTANCE="a")
    assert done.returncode == 2
    assert "use --url" in done.stderr


def test_status_asks_the_daemon_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bound to all addresses, it is reached at the local one; two intervals old is not stale."""
    with daemon((200, HEALTHY | {"observed_age_seconds": 20.5})) as (url, _):
        monkeypatch.setenv("HVD_BIND", url.replace("http://127.0.0.1", "0.0.0.0"))
        monkeypatch.setenv("HVD_INTERVAL", "10")
        assert main(["status"]) == 0
        assert "stale" not in capsys.readouterr().out
        monkeypatch.setenv("HVD_INTERVAL", "2")
        assert main(["status"]) == 0
        assert "stale, observed 20s ago" in capsys.readouterr().out


def test_the_help_has_every_code_of_a_command() -> None:
    """What ended by a signal has the shell's own."""
    assert [int(digits) for digits in re.findall(r"\b\d\b", EXIT_CODES)] == [code for code in Exit if code < 128]
