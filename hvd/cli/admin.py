"""Where the admin server of an instance may listen on this machine: its socket in a runtime folder."""

import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from hvd.cli.client import Address
from hvd.settings.runtime_folder import ADMIN_SOCKET, candidates

ROOT = 0


def admin_addresses(instance: str, user: int | None = None) -> list[Address]:
    """The sockets that are there, whether or not somebody listens. `user` is whose daemon it is, if that is known."""
    own = os.geteuid()
    users = dict.fromkeys((own, own if user is None else user))
    folders = dict.fromkeys(folder for each in users for folder in candidates(user=each))
    return [Address.parse(f"unix:{path}") for path in _sockets(folders, instance, {ROOT, *users})]


def _sockets(folders: Collection[Path], instance: str, owners: Collection[int]) -> Iterator[Path]:
    for folder in folders:
        path = folder / instance / ADMIN_SOCKET
        if str(path).isprintable() and all(is_trusted(part, owners) for part in (folder, path.parent, path)):
            yield path


def is_trusted(path: Path, owners: Collection[int]) -> bool:
    """True if the path is there, is one of these users', and nobody else can put something in its place.

    In a folder that others may write, /tmp, anybody can make the socket for which the command looks, and tell it what
    they like.
    """
    try:
        status = path.lstat()
    except OSError:
        return False
    if stat.S_ISLNK(status.st_mode) or status.st_uid not in owners:
        return False
    return stat.S_ISSOCK(status.st_mode) or not status.st_mode & stat.S_IWOTH or bool(status.st_mode & stat.S_ISVTX)
