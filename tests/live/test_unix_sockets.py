"""A daemon on a unix socket: who may connect, and whose file it is that is removed."""

import os
import signal
import socket
import stat
from pathlib import Path

from tests.support.server import Server
from tests.support.waiting import until


def under_umask(server: Server, umask: str) -> Server:
    server.command = ["sh", "-c", f'umask {umask}; exec "$@"', "sh", *server.command]
    return server


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_socket_is_its_daemons_own(tmp_path: Path) -> None:
    """As socket_mode says, whatever the umask; no other daemon takes it over, and a file in its place stays."""
    path = tmp_path / "http.sock"
    with under_umask(Server(tmp_path, bind=f"unix:{path}", workers=1, interval=0.2), "027") as server:
        assert mode(path) == 0o660
        node = path.stat().st_ino
        assert Server(tmp_path, bind=f"unix:{path}", workers=1).refusal() == (
            f"hvd: bind is unix:{path}, a socket at which another server listens: stop that server, "
            "or bind another path (HVD_BIND)"
        )
        assert path.stat().st_ino == node
        assert server.get("/hello").status == 200
        server.signal(signal.SIGHUP)
        until(lambda: "Hang up" in server.log and server.is_healthy(), "it is reloaded")
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            assert server.stop() == 0
            assert path.exists()
    assert not server.alarms


def test_a_stop_without_the_sockets_file_is_clean(tmp_path: Path) -> None:
    """Somebody removed it. At the start, one that nobody listened at was replaced; gunicorn's own option counts."""
    path = tmp_path / "http.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with Server(tmp_path, bind=f"unix:{path}", workers=1, interval=0.2, arguments=("--umask", "0")) as server:
        assert mode(path) == 0o777
        path.unlink()
        assert server.stop() == 0
    assert not server.alarms


def test_what_is_no_socket_is_not_bound(tmp_path: Path) -> None:
    """One line instead of gunicorn's traceback."""
    path = tmp_path / "file"
    path.touch()
    assert "is there and no socket" in Server(tmp_path, bind=f"unix:{path}", workers=1).refusal()
    assert os.stat(path).st_size == 0
