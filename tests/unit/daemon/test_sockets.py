"""Whose a unix socket is, before it is bound and before it is removed."""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hvd.daemon.sockets import SocketAccess, UnixSockets, current_umask
from hvd.errors import CannotStart
from hvd.settings.loader import load
from tests.unit.core.support import ended, fork


class Listener(socket.socket):
    """As gunicorn has it."""

    FAMILY = socket.AF_UNIX


def server(path: Path | str, *listeners: Listener, master_pid: int = 0) -> Any:
    cfg = SimpleNamespace(address=[str(path)])
    return SimpleNamespace(cfg=cfg, master_pid=master_pid, LISTENERS=list(listeners), systemd=False)


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


def test_a_group_that_can_not_be_given_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the remedy, as the system call may be forbidden; the service starts all the same."""

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", forbidden)
    lines: list[str] = []
    path = tmp_path / "sock"
    with bound(path) as listener:
        there = server(path, listener)
        there.log = SimpleNamespace(error=lambda text, *args: lines.append(text % args))
        UnixSockets(there, SocketAccess(gid=os.getegid())).note()
    assert len(lines) == 1
    assert "SystemCallFilter=@chown" in lines[0]


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


def test_a_socket_of_systemds_keeps_its_mode(tmp_path: Path) -> None:
    """SocketMode= of its unit says it; gunicorn has unset LISTEN_FDS when the sockets are noted."""
    with bound(tmp_path / "sock") as listener:
        for is_systemds, mode in ((True, 0o666), (False, 0o660)):
            (tmp_path / "sock").chmod(0o666)
            there = server("", listener)
            there.systemd = is_systemds
            UnixSockets(there, SocketAccess()).note()
            assert (tmp_path / "sock").stat().st_mode & 0o777 == mode


def test_a_file_gets_its_group_and_mode(tmp_path: Path) -> None:
    """A socket's only: whoever can swap the file has others changed by this user otherwise."""
    access = SocketAccess.of(replace(load({}).settings, socket_group="4711" if os.geteuid() == 0 else str(os.getgid())))
    path, (there, link) = tmp_path / "sock", (tmp_path / "file", tmp_path / "link")
    bound(path).close()
    access.give(str(path))
    assert (path.stat().st_mode & 0o777, path.stat().st_gid) == (0o660, access.gid)
    there.touch(mode=0o600)
    link.symlink_to(path)
    for wrong in (there, link):
        with pytest.raises(PermissionError):
            access.give(str(wrong))
    assert there.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("group", "why"), [("nosuchgroup", "is no group here: make it"), ("4711", "no member: add it")]
)
def test_a_group_that_can_not_be_given_is_refused(group: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start, with the remedy."""
    monkeypatch.setattr(os, "geteuid", lambda: 4712)
    with pytest.raises(CannotStart, match=f"^socket_group is {group}, .*{why}"):
        SocketAccess.of(replace(load({}).settings, socket_group=group))


def test_a_dead_socket_of_another_user_is_refused(tmp_path: Path) -> None:
    """In a sticky folder, as /tmp, it can't be removed: one line instead of gunicorn's traceback."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    folder = tmp_path / "sticky"
    folder.mkdir()
    folder.chmod(0o1777)
    bound(folder / "sock").close()

    def start_as_another() -> None:
        os.chdir(folder)
        os.seteuid(65534)  # to whom the folders above are closed
        with pytest.raises(CannotStart, match=r"another user's \(uid 0\): bind a path in a folder"):
            UnixSockets(server("sock")).refuse_taken()

    assert ended(fork(start_as_another)) == 0


def test_the_umask_is_that_of_the_process() -> None:
    """Which keeps it."""
    before = os.umask(0o027)
    try:
        assert current_umask() == 0o027
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_a_new_master_finds_systemd_s_sockets_at_their_numbers(tmp_path: Path) -> None:
    """Wherever gunicorn has moved them, and whatever is there by now; no second one is passed on with them."""
    check = "import os, socket\nfor fd in (3, 4): print(os.path.basename(socket.socket(fileno=fd).getsockname()))"
    code = f"""
import os, socket, sys
from types import SimpleNamespace
from hvd.daemon.sockets import keep_numbers
listeners = [socket.socket(socket.AF_UNIX) for _ in range(2)][::-1]
for name, one in zip("ab", listeners):
    one.bind(os.path.join({str(tmp_path)!r}, name)), one.listen(), one.set_inheritable(True)
keep_numbers(SimpleNamespace(systemd=False, LISTENERS=listeners))
assert listeners[0].get_inheritable()
keep_numbers(SimpleNamespace(systemd=True, LISTENERS=listeners))
names = [os.readlink(f"/proc/self/fd/{{fd}}") for fd in map(int, os.listdir("/proc/self/fd")) if fd > 2 and
         os.path.exists(f"/proc/self/fd/{{fd}}") and os.get_inheritable(fd)]
print(len(names), flush=True)
os.execv(sys.executable, [sys.executable, "-c", {check!r}])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["2", "a", "b"]
