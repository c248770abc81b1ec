"""`hvd watch`: real messages of a real daemon."""

import json
from pathlib import Path

import pytest

from tests.support.server import Server
from tests.unit.cli.daemon import run


@pytest.mark.parametrize("unix", [False, True])
def test_watch_prints_a_line_a_message(tmp_path: Path, unix: bool) -> None:
    """Over TCP and over a unix socket."""
    bind = f"unix:{tmp_path}/http.sock" if unix else "127.0.0.1:0"
    with Server(tmp_path, bind=bind, workers=1, interval=0.1) as server:
        url = bind if unix else "http://{}:{}".format(*server.address)
        result = run("watch", "--count", "4", "--url", url)
        lines = result.stdout.splitlines()
        assert [json.loads(line)["type"] for line in lines] == ["metrics", "status", "jobs", "metrics"]
        assert result.stderr == ""
