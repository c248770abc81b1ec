"""`hvd snapshot` and `hvd watch`."""

import json
from pathlib import Path

import pytest

from hvd.cli.main import main
from tests.support.server import Server
from tests.unit.cli.daemon import HEALTHY, daemon, run


def test_snapshot_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    """For eyes, or on one line; control characters stay escaped."""
    with daemon((200, HEALTHY)) as (url, _):
        assert main(["snapshot", "--url", url]) == 0
        pretty = capsys.readouterr().out
        assert main(["snapshot", "--url", url, "--compact"]) == 0
        compact = capsys.readouterr().out
    assert json.loads(pretty) == json.loads(compact) == HEALTHY
    assert pretty.startswith('{\n  "system_health": "healthy",\n')
    assert compact.count("\n") == 1
    assert "\x1b" not in pretty + compact


@pytest.mark.parametrize("bind", ["unix:{}/http.sock", "127.0.0.1:0"])
def test_watch_prints_a_line_a_message(tmp_path: Path, bind: str) -> None:
    """Real messages of a real daemon, over TCP and over a unix socket."""
    with Server(tmp_path, bind=bind.format(tmp_path), workers=1, interval=0.1) as server:
        done = run("watch", "--count", "4", "--url", server.url)
    assert [json.loads(line)["type"] for line in done.stdout.splitlines()] == ["metrics", "status", "jobs", "metrics"]
    assert done.stderr == ""
