"""Where the daemon of an instance listens on this machine: by what its runtime folder tells."""

import contextlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from hvd.cli.client import Address
from hvd.settings.admin_record import RECORD, AdminRecord, read_record
from hvd.settings.runtime_folder import ADMIN_SOCKET, candidates

ROOT = 0


def admin_addresses(instance: str, user: int | None = None) -> list[Address]:
    """Those of its admin server, whether or not somebody answers there: the one that the master has noted, and the
    socket that has the usual name. `user` is whose daemon it is, if that is known.
    """
    binds = []
    for folder, owners in _folders(instance, user):
        record = _record(folder, owners)
        binds += [record.address] if record else []
        socket = folder / ADMIN_SOCKET
        binds += [f"unix:{socket}"] if is_trusted(socket, owners) else []
    return reachable(binds)


def service_addresses(instance: str, user: int | None = None) -> list[Address]:
    """Those at which it serves, as its master has noted them."""
    records = (_record(folder, owners) for folder, owners in _folders(instance, user))
    return reachable(record.bind for record in records if record)


def reachable(binds: Iterable[str]) -> list[Address]:
    """Each address once, but for those that name no port to ask."""
    addresses: dict[str, Address] = {}
    for bind in binds:
        with contextlib.suppress(ValueError):
            addresses.setdefault(bind, Address.of_bind(bind))
    return list(addresses.values())


def _folders(instance: str, user: int | None) -> Iterator[tuple[Path, Collection[int]]]:
    """The instance's folders that can be believed, and the users who may have written what is in them."""
    own = os.geteuid()
    users = dict.fromkeys((own, own if user is None else user))
    for base in dict.fromkeys(base for owner in users for base in candidates(user=owner)):
        owners = {ROOT, *users, *_chosen_by_root(base)}
        if is_trusted(base, owners) and is_trusted(base / instance, owners):
            yield base / instance, owners


def _chosen_by_root(folder: Path) -> Iterator[int]:
    """The owner of a folder that only root can have put where it is, as systemd does for a service: /run/hvd."""
    with contextlib.suppress(OSError, RuntimeError):
        folder = folder.resolve(strict=True)
        above = folder.parent.stat()
        if above.st_uid == ROOT and not above.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            yield folder.stat().st_uid


def _record(folder: Path, owners: Collection[int]) -> AdminRecord | None:
    """What a master that lives has noted."""
    record = read_record(folder) if is_trusted(folder / RECORD, owners) else None
    return None if record is None or record.is_stale else record


def is_trusted(path: Path, owners: Collection[int]) -> bool:
    """True if the path is there, is one of these users', and nobody else can put something in its place.

    In a folder that others may write, /tmp, anybody can make the socket for which the command looks, and tell it what
    they like. A link is followed if root has made it: systemd's DynamicUser= has one.
    """
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode) and status.st_uid == ROOT:
            status = path.stat()
    except OSError:
        return False
    if stat.S_ISLNK(status.st_mode) or status.st_uid not in owners:
        return False
    return stat.S_ISSOCK(status.st_mode) or not status.st_mode & stat.S_IWOTH or bool(status.st_mode & stat.S_ISVTX)
