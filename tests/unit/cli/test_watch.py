"""`hvd watch`: real messages of a real daemon, and clear errors."""

import contextlib
import json
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hvd.cli.client import Address
from hvd.cli.watch import messages
from hvd.errors import DaemonUnreachable
from tests.support.server import Server
from tests.support.waiting import until


@pytest.mark.parametrize("unix", [False, True])
def test_watch_prints_a_line_a_message(tmp_path: Path, unix: bool) -> None:
    """Over TCP and over a unix socket."""
    bind = f"unix:{tmp_path}/http.sock" if unix else "127.0.0.1:0"
    with Server(tmp_path, bind=bind, workers=1, interval=0.1) as server:
        url = bind if unix else "http://{}:{}".format(*server.address)
        command = [sys.executable, "-m", "hvd", "watch", "--count", "4", "--url", url]
        result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        lines = result.stdout.splitlines()
        assert [json.loads(line)["type"] for line in lines] == ["metrics", "status", "jobs", "metrics"]
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


@contextlib.contextmanager
def answering(reply: bytes) -> Iterator[tuple[Address, list[bool]]]:
    """A server that is healthy, and gives this reply to an upgrade; notes whose connection the client has ended."""
    ended: list[bool] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if self.request.recv(65_536).startswith(b"GET /health "):
                self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                return
            self.request.sendall(reply)
            if reply:
                self.request.shutdown(socket.SHUT_WR)
            self.request.settimeout(10)
            ended.append(self.request.recv(1) == b"")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Address.parse(f"http://127.0.0.1:{server.socket.getsockname()[1]}"), ended
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", id="refused"),
        pytest.param(b"SSH-2.0-x\r\n\r\n", id="not HTTP"),
        pytest.param(b"HTTP/1.1 101 Swi", id="breaks off"),
        pytest.param(b"", id="silent"),
    ],
)
def test_watch_lets_go_of_a_connection_that_is_no_websocket(reply: bytes) -> None:
    """Within the time that it was given, with a clear error, and with its descriptor closed."""
    with answering(reply) as (address, ended):
        with pytest.raises(DaemonUnreachable, match="/ws refused the connection"):
            next(messages(address, 1))
        until(lambda: ended == [True], "the connection is closed")
