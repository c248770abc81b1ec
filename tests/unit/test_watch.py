"""`hvd watch`: real messages of a real daemon, and clear errors."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hvd.client import Address
from hvd.errors import DaemonUnreachable
from hvd.watch import messages
from tests.support.server import Server


@pytest.mark.parametrize("unix", [False, True])
def test_watch_prints_a_line_a_message(tmp_path: Path, unix: bool) -> None:
    """Over TCP and over a unix socket."""
    bind = f"unix:{tmp_path}/http.sock" if unix else "127.0.0.1:0"
    with Server(tmp_path, bind=bind, workers=1, interval=0.1) as server:
        url = bind if unix else "http://{}:{}".format(*server.address)
        command = [sys.executable, "-m", "hvd", "watch", "--count", "3", "--url", url]
        result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        lines = result.stdout.splitlines()
        assert [json.loads(line)["type"] for line in lines] == ["metrics"] * 3
        assert result.stderr == ""


def test_watch_says_that_the_daemon_stopped(tmp_path: Path) -> None:
    """The end of the connection is not a traceback."""
    with Server(tmp_path, workers=1, interval=0.1) as server:
        stream = messages(Address.parse("http://{}:{}".format(*server.address)), 5)
        next(stream)
        assert server.stop() == 0
        with pytest.raises(DaemonUnreachable, match="closed the connection"):
            list(stream)


def test_watch_names_an_address_where_nobody_answers() -> None:
    """As the other commands do."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with pytest.raises(DaemonUnreachable, match=f"no daemon answers at http://127.0.0.1:{port}"):
        next(messages(Address.parse(f"http://127.0.0.1:{port}"), 5))
