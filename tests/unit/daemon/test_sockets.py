"""Whose a unix socket is, before it is bound and before it is removed."""

import os
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hvd.daemon.sockets import UnixSockets, current_umask
from hvd.errors import CannotStart


class Listener(socket.socket):
    """As gunicorn has it."""

    FAMILY = socket.AF_UNIX


def server(path: Path | str, *listeners: Listener, master_pid: int = 0) -> Any:
    return SimpleNamespace(cfg=SimpleNamespace(address=[str(path)]), master_pid=master_pid, LISTENERS=list(listeners))


def bound(path: Path, listens: bool = True) -> Listener:
    sock = Listener(socket.AF_UNIX)
    sock.bind(str(path))
    if listens:
        sock.listen()
    return sock


def test_a_socket_at_which_a_server_listens_is_refused(tmp_path: Path) -> None:
    """Whether it answers or not; not so at an upgrade, where it is the same daemon's, and not on TCP."""
    path = tmp_path / "sock"
    with bound(path):
        with pytest.raises(CannotStart, match=f"bind is unix:{path}, a socket at which another server listens: stop"):
            UnixSockets(server(path)).refuse_taken()
        UnixSockets(server(path, master_pid=1)).refuse_taken()
    UnixSockets(SimpleNamespace(cfg=SimpleNamespace(address=[("127.0.0.1", 1)]), master_pid=0)).refuse_taken()


def test_a_socket_that_nobody_has_open_is_free(tmp_path: Path) -> None:
    """It was left by a daemon that was killed; and so is a path where nothing is."""
    path = tmp_path / "sock"
    UnixSockets(server(path)).refuse_taken()
    bound(path).close()
    UnixSockets(server(path)).refuse_taken()


def test_what_is_no_socket_is_refused(tmp_path: Path) -> None:
    """And a path that can't be looked at."""
    (tmp_path / "file").touch()
    for path, why in ((tmp_path / "file", "is there and no socket"), (tmp_path / "file" / "sock", "Not a directory")):
        with pytest.raises(CannotStart, match=why):
            UnixSockets(server(path)).refuse_taken()


def test_only_ones_own_file_is_left_to_be_removed(tmp_path: Path) -> None:
    """One that is gone, or another's by now, gunicorn doesn't get to see."""
    paths = [tmp_path / name for name in ("own", "gone", "anothers")]
    listeners = [bound(path) for path in paths]
    there = server("", *listeners)
    sockets = UnixSockets(there)
    sockets.note()
    paths[1].unlink()
    paths[2].unlink()
    with bound(paths[2]):
        sockets.disown()
    assert listeners[:1] == there.LISTENERS
    assert [listener.fileno() >= 0 for listener in listeners] == [True, False, False]
    listeners[0].close()


def test_the_umask_is_that_of_the_process() -> None:
    """Which keeps it."""
    before = os.umask(0o027)
    try:
        assert current_umask() == 0o027
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
