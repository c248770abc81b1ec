"""The hand-off: a worker passes a client's socket to the hub, with the handshake's headers and what came after them.

Both ends come from one unix SEQPACKET pair, which keeps packets apart and in order, whoever writes them: one `sendmsg`
is one hand-off, so every worker and thread can use the same end. Packets wait in the kernel while the hub is away.
"""

import errno
import json
import os
import select
import socket
import time
from array import array
from collections.abc import Mapping
from typing import Any, NamedTuple

# Bytes of waiting hand-offs. One costs about 1 KiB of kernel memory, so this is some 10,000 clients at once (the kernel
# doubles the number); an unprivileged process gets what net.core.wmem_max allows, some 400.
QUEUE_BYTES = 4 * 1024 * 1024

DETAIL = "detail"
"""Our own, no HTTP header: "1" where the client asked for details in the query."""

ADMIN = "admin"
"""Our own, too: when the admin server got the request, monotonic ns; absent for requests to a worker."""

ACCESS = "access"
"""Our own, too: the worker's name for the rule of who may read. The hub refuses a client that an older rule let in."""

PROTOCOL = "sec-websocket-protocol"
"""The subprotocol chosen among those that the client offered; absent where none was."""

# What the hub needs of a handshake, and the most characters of each that are passed on (RFC 6455 §11.3).
HEADERS = {"sec-websocket-key": 64, "sec-websocket-version": 16, PROTOCOL: 16, ACCESS: 16, DETAIL: 1, ADMIN: 20}

EARLY_BYTES = 8192
"""The most bytes after the headers that are passed on: gunicorn reads so many at once, the request among them."""

_HEAD_BYTES = 4096  # JSON escapes a character to at most 6 bytes: the headers above fit
_PACKET_BYTES = _HEAD_BYTES + 1 + EARLY_BYTES  # between headers and early bytes: the JSON contains no line end
_RETRY = 0.005  # s between attempts while the queue is full
_GARBAGE = 64  # packets dropped by one `receive`, so that it ends whatever is sent
_FULL = {errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.ETOOMANYREFS}
_FAMILIES = {socket.AF_INET, socket.AF_INET6, socket.AF_UNIX}


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """-> the workers' end and the hub's end, both non-blocking and closed on exec unless passed on by `pass_fds`."""
    worker_end, hub_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (worker_end, hub_end):
        end.setblocking(False)
    try:
        # SO_SNDBUFFORCE, 32 on every Linux architecture in use, has no name in Python
        worker_end.setsockopt(socket.SOL_SOCKET, 32, QUEUE_BYTES)
    except OSError:
        worker_end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, QUEUE_BYTES)
    return worker_end, hub_end


class HandOff(NamedTuple):
    """A client on its way to the hub: its socket, the handshake's headers (names in lower case), bytes after them."""

    sock: socket.socket
    headers: dict[str, str]
    early: bytes


def send(
    worker_end: socket.socket, fd: int, headers: Mapping[str, str], early: bytes = b"", wait: float = 0.25
) -> bool:
    """Pass on to the hub: the descriptor, of which the caller keeps its own copy, those of the headers that HEADERS
    names, and at most EARLY_BYTES that came after them.

    Waits at most `wait` seconds for room. -> False if there was none or the hub's end is closed: nothing was passed.
    Safe in any thread or process that has the workers' end; raises nothing.
    """
    packet = _packet(headers) + (b"\n" + early if early else b"")
    rights: list[tuple[int, int, Any]] = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [fd]))]
    deadline = time.monotonic() + wait
    while True:
        try:
            worker_end.sendmsg([packet], rights, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            return True
        except OSError as error:
            if error.errno not in _FULL:
                return False
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return False
        # Not POLLOUT: a unix socket reports it only once three quarters of its queue are free, and reports it at once
        # when what is full is the number of descriptors in flight (ETOOMANYREFS).
        time.sleep(min(_RETRY, remaining))


def receive(hub_end: socket.socket) -> HandOff | None:
    """-> the next client, or None if none is waiting.

    A packet that isn't a hand-off, or whose descriptor has no room in this process (EMFILE), is dropped with all that
    it carries. Raises EOFError once every workers' end is closed. Not for two threads at once.
    """
    for _ in range(_GARBAGE):
        try:
            data, ancillary, flags, _ = hub_end.recvmsg(
                _PACKET_BYTES, socket.CMSG_SPACE(16 * 4), socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
            )
        except (BlockingIOError, ConnectionResetError):
            return None
        fds = _descriptors(ancillary)
        if not data and not fds and _is_hung_up(hub_end):
            raise EOFError("every worker's end of the hand-off channel is closed")
        complete = not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)
        head, _, early = data.partition(b"\n")
        headers = _headers(head) if complete and len(fds) == 1 else None
        client = _stream(fds.pop()) if headers is not None else None
        for fd in fds:
            os.close(fd)
        if client is not None and headers is not None:
            return HandOff(client, headers, early)
    return None


def _packet(headers: Mapping[str, str]) -> bytes:
    lower = {name.lower(): value for name, value in headers.items()}
    return json.dumps({name: value for name, value in lower.items() if len(value) <= HEADERS.get(name, -1)}).encode()


def _headers(data: bytes) -> dict[str, str] | None:
    try:
        headers = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(headers, dict):
        return None
    return {name: value for name, value in headers.items() if name in HEADERS and isinstance(value, str)}


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array("i")
    for level, type_, data in ancillary:
        if level == socket.SOL_SOCKET and type_ == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def _stream(fd: int) -> socket.socket | None:
    """-> `fd` as a stream socket; any other descriptor is closed."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        os.close(fd)
        return None
    if sock.type == socket.SOCK_STREAM and sock.family in _FAMILIES:
        return sock
    sock.close()
    return None


def _is_hung_up(end: socket.socket) -> bool:
    poll = select.poll()
    poll.register(end, select.POLLIN)
    return any(events & select.POLLHUP for _, events in poll.poll(0))
