"""The daemon's unix sockets, whose files gunicorn makes and removes without a look at whose they are.

`gunicorn.sock` (27.0.1) removes whatever socket is at the path that it binds, even one that another daemon serves; at a
stop it removes whatever is there, and fails where nothing is. tests/live/test_unix_sockets.py would see it.
"""

import contextlib
import fcntl
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from gunicorn import systemd

from hvd.core.peers import gid_of
from hvd.errors import CannotStart
from hvd.settings.table import Settings

CLOSED = 0o177
"""The umask under which a socket is bound that others get by its group only once its file has that group."""


def current_umask() -> int:
    """The umask of this process, which can only be read by setting another. Used in the main thread."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


@dataclass(frozen=True)
class SocketAccess:
    """Who may connect to hvd's unix sockets: the mode of their files, and their group; -1 is the daemon's own."""

    mode: int = 0o660
    gid: int = -1

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings say. Raises CannotStart for a group that isn't there, or that this user can't give away."""
        mode, group = int(settings.socket_mode, 8), settings.socket_group
        if not group:
            return cls(mode)
        try:
            gid = gid_of(group)
        except KeyError:
            raise CannotStart(f"socket_group is {group}, which is no group here: make it (groupadd {group})") from None
        if os.geteuid() != 0 and gid not in (os.getegid(), *os.getgroups()):
            raise CannotStart(
                f"socket_group is {group}, of which this user is no member: add it, or name a group of its own"
            )
        return cls(mode, gid)

    def give(self, path: str) -> None:
        """Give a socket's file its group and mode. Raises OSError, also for what is no socket."""
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            status, link = os.fstat(fd), f"/proc/self/fd/{fd}"  # the descriptor, whatever has the path by now
            if not stat.S_ISSOCK(status.st_mode):
                raise PermissionError(f"{path} is no socket any more")
            self._give_group(link)
            os.chmod(link, self.mode)
        finally:
            os.close(fd)

    def give_folder(self, path: Path) -> None:
        """Let the group enter a folder that this user has made. Raises OSError."""
        self._give_group(path)
        os.chmod(path, 0o750)  # nosec B103  # its group may connect to the socket in it

    def _give_group(self, path: str | Path) -> None:
        """Raises OSError; where the system forbids it, which a hardened unit does, with the remedy."""
        try:
            if self.gid >= 0:
                os.chown(path, -1, self.gid)
        except PermissionError:
            raise PermissionError(
                "socket_group can't be given, chown is forbidden: hvd's unit needs SystemCallFilter=@chown for it"
            ) from None


def keep_numbers(server: Any) -> None:
    """In what becomes the new master at an upgrade: sockets that systemd has made get the numbers again at which that
    master looks for them, from 3 on.

    gunicorn (27.0.1) tells it so, but has moved them to other numbers at its own start (sock.py, `os.close(fd)`).
    """
    if not server.systemd:
        return
    first, listeners = systemd.SD_LISTEN_FDS_START, server.LISTENERS
    spare = [fcntl.fcntl(one.fileno(), fcntl.F_DUPFD_CLOEXEC, first + len(listeners)) for one in listeners]
    for one in listeners:
        one.set_inheritable(False)
    for number, fd in enumerate(spare, first):
        os.dup2(fd, number, inheritable=True)


class UnixSockets:
    """Those of one master. Used in its main thread."""

    def __init__(self, server: Any, access: SocketAccess | None = None) -> None:
        """`access` is for those that are hvd's own; None: gunicorn's settings decide."""
        self._server, self._access = server, access
        self._files: dict[str, os.stat_result] = {}

    def refuse_taken(self) -> None:
        """Before gunicorn binds them. Raises CannotStart where a server listens, or what is there is no socket."""
        if self._server.master_pid or systemd.listen_fds(unset_environment=False):
            return  # they are inherited
        for path in self._server.cfg.address:
            if isinstance(path, str) and not path.startswith("\0"):
                refuse_taken_path(path, "bind")

    def note(self) -> None:
        """They are bound: these files are ours, and get their mode and group."""
        is_inherited = self._server.master_pid or self._server.systemd  # by now gunicorn has unset LISTEN_FDS
        for path in self._paths():
            with contextlib.suppress(OSError):
                self._files[path] = os.stat(path)
            if self._access and not is_inherited and not path.startswith("\0"):
                self._give(self._access, path)

    def _give(self, access: SocketAccess, path: str) -> None:
        try:
            access.give(path)
        except OSError as error:
            self._server.log.error(
                "hvd: %s can't get its mode and group, so that others may not connect: %s",
                path,
                error.strerror or error,
            )

    def disown(self) -> None:
        """Before gunicorn removes them: have it skip those that are gone, or another process's by now."""
        for path, listener in self._paths().items():
            if not self._is_ours(path):
                listener.close()
                self._server.LISTENERS.remove(listener)

    def _paths(self) -> dict[str, Any]:
        listeners = {}
        for listener in self._server.LISTENERS:
            if listener.FAMILY == socket.AF_UNIX and (path := str(listener.getsockname())):
                listeners[path] = listener
        return listeners

    def _is_ours(self, path: str) -> bool:
        try:
            return path not in self._files or os.path.samestat(self._files[path], os.stat(path))
        except OSError:
            return False


def refuse_taken_path(path: str, key: str) -> None:
    """Raises CannotStart where a server listens at this path, or what is there is no socket; `key` is the setting."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise CannotStart(f"{key} is unix:{path}, which is there and no socket: remove it, or bind another path")
    except FileNotFoundError:
        return
    except OSError as error:
        raise CannotStart(f"{key} is unix:{path}, which can't be used: {error.strerror}") from None
    _refuse_strangers(path, key)
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return  # nobody has it open any more
        except OSError as error:
            why = f"another server's socket ({error.strerror})"
        else:
            why = "a socket at which another server listens"
    raise CannotStart(f"{key} is unix:{path}, {why}: stop that server, or bind another path (HVD_{key.upper()})")


def _refuse_strangers(path: str, key: str) -> None:
    """A socket's file that another user has left can't be removed where the folder is sticky, as /tmp."""
    with contextlib.suppress(FileNotFoundError):
        status, folder = os.lstat(path), os.stat(os.path.dirname(path) or ".")
        user = os.geteuid()
        if folder.st_mode & stat.S_ISVTX and user not in (0, status.st_uid, folder.st_uid):
            raise CannotStart(
                f"{key} is unix:{path}, which is there and another user's (uid {status.st_uid}): "
                f"bind a path in a folder that only this user may write to (HVD_{key.upper()})"
            )
