"""Connections that wait for accept(2) at the sockets at which the workers listen, as the kernel counts them.

Asked by netlink, sock_diag(7): struct inet_diag_req_v2 and inet_diag_msg of linux/inet_diag.h, unix_diag_req and
unix_diag_msg of linux/unix_diag.h. Of a socket that listens, rqueue is how many wait, and wqueue how many may. TCP
sockets are dumped, unix sockets asked for one by one; both are known by their inode number.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from hvd.core import layout
from hvd.core.block import Block

NETLINK_SOCK_DIAG = 4  # linux/netlink.h
_SOCK_DIAG_BY_FAMILY, _NLMSG_ERROR, _NLMSG_DONE = 20, 2, 3
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_TCP_LISTEN = 1 << 10
_UDIAG_SHOW_RQLEN, _UNIX_DIAG_RQLEN = 0x10, 4
_ANY_COOKIE = 2**64 - 1

_HEAD = struct.Struct("=IHHII")  # struct nlmsghdr
_INET_REQUEST = struct.Struct("=BBBxI48x")
_INET_ANSWER = struct.Struct("=52xIIIII")  # expires, rqueue, wqueue, uid, inode
_UNIX_REQUEST = struct.Struct("=BBxxIIIQ")
_UNIX_ANSWER = struct.Struct("=B3xIQ")
_ATTRIBUTE = struct.Struct("=HH")
_QUEUE = struct.Struct("=II")

_PATIENCE = 0.2  # s; the kernel has its answer ready when the question is sent
_ANSWER_BYTES = 32 * 1024


class Backlog(NamedTuple):
    """Connections that wait for accept(2), and how many may, at all the sockets together."""

    waiting: int
    limit: int


def note_listeners(block: Block, descriptors: Iterable[int]) -> None:
    """In a master: the workers listen at these sockets, the first LISTENERS of which are noted. Raises OSError."""
    inodes = [os.fstat(fd).st_ino for fd in descriptors][: layout.LISTENERS]
    for index in range(layout.LISTENERS):
        block.cells[layout.H_LISTENERS + index] = inodes[index] if index < len(inodes) else 0


def listeners(block: Block) -> list[int]:
    """The inode numbers of the sockets at which the workers listen."""
    return [inode for inode in block.cells[layout.H_LISTENERS : layout.H_LISTENERS + layout.LISTENERS] if inode]


def read_backlog(inodes: Iterable[int]) -> Backlog | None:
    """What waits at these sockets; None where the kernel knows none of them, or may not be asked. Never raises.

    Some 0.1 ms. Any process of the same network namespace may ask.
    """
    missing, queues = set(inodes), list[Backlog]()
    if not missing:
        return None
    with contextlib.suppress(OSError, struct.error), _netlink() as kernel:
        for inode in sorted(missing):
            if queue := _unix_queue(kernel, inode):
                missing.discard(inode)
                queues.append(queue)
        for family in (socket.AF_INET, socket.AF_INET6):
            if missing:
                by_inode = {inode: queue for inode, queue in _tcp_queues(kernel, family) if inode in missing}
                missing -= by_inode.keys()
                queues += by_inode.values()
    if not queues:
        return None
    return Backlog(sum(queue.waiting for queue in queues), sum(queue.limit for queue in queues))


def _netlink() -> socket.socket:
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG)
    kernel.settimeout(_PATIENCE)
    return kernel


def _tcp_queues(kernel: socket.socket, family: int) -> Iterator[tuple[int, Backlog]]:
    """Inode number and queue of each TCP socket of the family that listens."""
    request = _INET_REQUEST.pack(family, socket.IPPROTO_TCP, 0, _TCP_LISTEN)
    for answer in _ask(kernel, request, _NLM_F_REQUEST | _NLM_F_DUMP):
        _, waiting, limit, _, inode = _INET_ANSWER.unpack_from(answer)
        yield inode, Backlog(waiting, limit)


def _unix_queue(kernel: socket.socket, inode: int) -> Backlog | None:
    """The queue of a unix socket; None where the inode is none's."""
    request = _UNIX_REQUEST.pack(socket.AF_UNIX, 0, 2**32 - 1, inode & 0xFFFFFFFF, _UDIAG_SHOW_RQLEN, _ANY_COOKIE)
    for answer in _ask(kernel, request, _NLM_F_REQUEST):
        at = _UNIX_ANSWER.size
        while at + _ATTRIBUTE.size <= len(answer):
            length, kind = _ATTRIBUTE.unpack_from(answer, at)
            if kind == _UNIX_DIAG_RQLEN:
                return Backlog(*_QUEUE.unpack_from(answer, at + _ATTRIBUTE.size))
            at += max(_ATTRIBUTE.size, length + 3 & ~3)
    return None


def _ask(kernel: socket.socket, request: bytes, flags: int) -> list[bytes]:
    """The bodies of the answers to a request; none where the kernel answers with an error. Raises OSError."""
    kernel.sendto(_HEAD.pack(_HEAD.size + len(request), _SOCK_DIAG_BY_FAMILY, flags, 1, 0) + request, (0, 0))
    answers: list[bytes] = []
    while True:
        data = kernel.recv(_ANSWER_BYTES)
        at = 0
        while at + _HEAD.size <= len(data):
            length, kind, *_ = _HEAD.unpack_from(data, at)
            if kind in (_NLMSG_ERROR, _NLMSG_DONE):
                return answers
            answers.append(data[at + _HEAD.size : at + length])
            at += max(_HEAD.size, length + 3 & ~3)
        if flags == _NLM_F_REQUEST:  # one message is the whole answer
            return answers
