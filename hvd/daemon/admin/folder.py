"""The runtime folder of an instance: made by the master, for its user, and the group that may connect to its socket.

In /tmp anybody may have made a folder, or a link, of the name that this user's would have. So nothing is used that
another user has, or may write in.
"""

import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from hvd.daemon.sockets import SocketAccess
from hvd.errors import CannotStart
from hvd.settings.runtime_folder import ADMIN_SOCKET, candidates, evasive_folder

SOCKET_PATH_MAX = 107  # bytes that fit in sockaddr_un.sun_path beside the closing zero (unix(7))

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def make_folder(instance: str, access: SocketAccess, bases: Iterable[Path] | None = None) -> Path:
    """The instance's folder, mode 0750, in the first of these folders that can be used.

    Raises CannotStart, which says of each why it can't.
    """
    reasons = []
    for base in (*candidates(), evasive_folder()) if bases is None else bases:
        try:
            with contextlib.suppress(FileNotFoundError):  # another daemon may just have removed the folder of both
                return _folder_in(base, instance, access)
            return _folder_in(base, instance, access)
        except OSError as error:
            reasons.append(f"{base}: {error.strerror or error}")
    raise CannotStart(f"there is no runtime folder ({'; '.join(reasons)})")


def remove_folder(folder: Path) -> None:
    """Remove it, if nothing is left in it, and the folder of all instances with the last one."""
    with contextlib.suppress(OSError):
        folder.rmdir()
        folder.parent.rmdir()


def _folder_in(base: Path, instance: str, access: SocketAccess) -> Path:
    if instance in (".", ".."):
        raise OSError(f"an instance of the name {instance} has no folder of its own")
    folder = base / instance
    if len(os.fsencode(folder / ADMIN_SOCKET)) > SOCKET_PATH_MAX:
        raise OSError(f"a socket's path there would be longer than {SOCKET_PATH_MAX} bytes")
    is_new = _make(base)
    _check(base, os.stat(base))
    if is_new:
        access.give_folder(base)
    _make(folder)
    _check(folder, os.lstat(folder))
    access.give_folder(folder)
    return folder


def _make(folder: Path) -> bool:
    with contextlib.suppress(FileExistsError):
        folder.mkdir(0o700)
        return True
    return False


def _check(folder: Path, status: os.stat_result) -> None:
    """Raises OSError for what is no folder of this user alone; `status` is of what the name leads to."""
    user = os.geteuid()
    if os.lstat(folder).st_uid not in (user, 0):  # a link that root has made is systemd's, for DynamicUser=
        raise OSError("it is another user's")
    if not stat.S_ISDIR(status.st_mode):
        raise OSError("it is no folder")
    if status.st_uid != user:
        raise OSError("it is another user's")
    if status.st_mode & _OTHERS_WRITE:
        raise OSError("others may write in it")
