"""`hvd list`: its table, its JSON and its exit codes."""

import json
import os
import time

import pytest

from hvd.cli import daemon_list as module
from hvd.cli.client import Address
from hvd.cli.daemon_list import Report, ask, lines
from hvd.cli.daemons import Daemon
from hvd.cli.main import main
from hvd.core import layout
from hvd.core.outside import KeptBlock
from tests.unit.cli.daemon import daemon

RAW = {
    "health": "degraded",
    "reasons": ["saturated: all 8 threads busy for 18.0 s"],
    "workers_alive": 2,
    "worker_threads": 8,
    "worker_threads_busy": 8,
    "requests_per_second": 12.34,
}
DEAD = Address.parse("http://127.0.0.1:1")


def running(instance: str, *admin: Address, user: int = 0, format: int = layout.FORMAT, workers: int = 2) -> Daemon:
    started = time.monotonic_ns() - 3_725 * 10**9
    serves = (Address.parse("http://127.0.0.1:8080"),)
    return Daemon(instance, KeptBlock(f"hvd-{instance}", user, format, (4711,), started, (), workers), admin, serves)


def test_a_daemon_is_a_line_and_its_troubles_are_below() -> None:
    """One that doesn't answer is listed by what its block tells."""
    shop = Report(running("shop", Address.parse("unix:/run/shop/admin.sock")), RAW)
    office = Report(running("office", DEAD), {}, "connection refused")
    assert lines([shop, office], "utf-8") == [
        "INSTANCE  PID   HEALTH       WORKERS  BUSY  REQ/S  UPTIME  BIND                   ADMIN",
        "shop      4711  degraded     2        8/8   12.3   1h 2m   http://127.0.0.1:8080  unix:/run/shop/admin.sock",
        "office    4711  unreachable  2        -     -      1h 2m   http://127.0.0.1:8080  http://127.0.0.1:1",
        "! shop: saturated: all 8 threads busy for 18.0 s",
        "! office: connection refused",
    ]


def test_users_show_where_there_are_several_and_so_do_other_versions() -> None:
    """As root sees them; a user without a name by its number."""
    text = "\n".join(lines([Report(running("a"), RAW), Report(running("b", user=54_321, format=3), {}, "x")], "utf-8"))
    assert "USER" in text
    assert "54321" in text
    assert "! b: it is another version of hvd (block format 3)" in text


def test_odd_answers_are_dashes() -> None:
    """And can't drive the terminal."""
    text = "\n".join(lines([Report(running("a"), {"health": "\x1b[2J", "reasons": 5, "workers_alive": "x"})], "ascii"))
    assert "\x1b" not in text
    assert "-/-" not in text


def test_the_admin_server_is_asked() -> None:
    """At the first of its addresses that answers; without any, or where none does, the reason is kept."""
    with daemon((200, RAW)) as (url, requests):
        listed = ask(running("a", DEAD, Address.parse(url)), 1.0)
        assert (listed.health, listed.trouble) == ("degraded", "")
    assert [request.path for request in requests] == ["/api/v1/snapshot"]
    assert ask(running("a", DEAD), 1.0).trouble == "connection refused"
    assert ask(running("a"), 1.0).health == "unreachable"


def test_exit_codes_tell_scripts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """All healthy, one not, none there."""
    for raw, code in ((RAW | {"health": "healthy"}, 0), (RAW, 3)):
        with daemon((200, raw)) as (url, _):
            monkeypatch.setattr(module, "running_daemons", lambda url=url: [running("a", Address.parse(url))])
            assert main(["list"]) == code
    with daemon((200, RAW | {"health": "healthy"})) as (url, _):
        monkeypatch.setattr(module, "running_daemons", lambda: [running("a", Address.parse(url)), running("b", DEAD)])
        assert main(["list"]) == 3
    capsys.readouterr()
    monkeypatch.setattr(module, "running_daemons", list)
    assert main(["list"]) == 1
    assert capsys.readouterr().out == f"{module.NONE}\n"


def test_json_is_for_scripts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A list, empty where none runs."""
    monkeypatch.setattr(module, "running_daemons", list)
    assert main(["list", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == []
    monkeypatch.setattr(module, "running_daemons", lambda: [running("a", DEAD, user=os.geteuid())])
    assert main(["list", "--json"]) == 3
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["instance"], listed["masters"], listed["health"]) == ("a", [4711], "unreachable")
    assert (listed["reasons"], listed["workers"]) == (["connection refused"], 2)
    assert listed["uptime_seconds"] == pytest.approx(3725, abs=60)
