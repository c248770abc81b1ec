"""Who is at the other end of a unix socket, as the kernel noted it when the connection was made (unix(7), SO_PEERCRED).

What a peer says of itself plays no part, and what becomes of it afterwards changes nothing: a process that gives its
rights up later is the one that connected. Safe in any thread.
"""

import grp
import os
import socket
import struct
from typing import NamedTuple

SO_PEERGROUPS = 59  # asm-generic/socket.h, Linux 4.13; it has no name in Python
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_GROUPS_BYTES = 1024  # as many as getsockopt takes in Python: of a peer with more than 256 groups none is known


class Peer(NamedTuple):
    """User, group and further groups of the process that connected."""

    uid: int
    gid: int
    groups: frozenset[int]

    @classmethod
    def of(cls, connection: socket.socket) -> "Peer | None":
        """Of this connection; None where it is no unix socket, is over, or the kernel doesn't tell."""
        try:
            if connection.family != socket.AF_UNIX:
                return None
            data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:
            return None
        _, uid, gid = _CREDENTIALS.unpack(data)
        return cls(uid, gid, _groups(connection))

    def is_one_of(self, users: frozenset[int]) -> bool:
        """Whether it is one of these users.

        Where user ids are mapped (user_namespaces(7)), the kernel shows every user that isn't by one and the same id:
        it is nobody's, whoever has it here.
        """
        return self.uid in users and not (self.uid == _unmapped("uid") and _is_mapped("uid"))

    def is_in(self, group: int) -> bool:
        """Whether it is in this group; the same holds for the id of groups that aren't mapped."""
        return group in {self.gid, *self.groups} and not (group == _unmapped("gid") and _is_mapped("gid"))


def gid_of(group: str) -> int:
    """The number of a group, given by its name or number. Raises KeyError."""
    return int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid


def _groups(connection: socket.socket) -> frozenset[int]:
    try:
        data = connection.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, _GROUPS_BYTES)
    except OSError:
        return frozenset()
    return frozenset(struct.unpack(f"{len(data) // 4}I", data[: len(data) // 4 * 4]))


def _unmapped(kind: str) -> int:
    """The id by which the kernel shows one that has no number here."""
    try:
        with open(f"/proc/sys/kernel/overflow{kind}", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 65534


def _is_mapped(kind: str) -> bool:
    """False where every id is shown as what it is."""
    try:
        with open(f"/proc/self/{kind}_map", encoding="ascii") as file:
            return file.read().split() != ["0", "0", str(2**32 - 1)]
    except OSError:
        return True


def own_users() -> frozenset[int]:
    """Whom a daemon's process trusts: its own user, and root."""
    return frozenset({os.geteuid(), 0})
