"""Sockets passed through the hand-off channel, between processes and when there is no room."""

import gc
import json
import os
import socket
import time
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from hvd.agg import handoff
from tests.unit.agg import HEADERS
from tests.unit.core.support import no_descriptor

Channel = tuple[socket.socket, socket.socket]


@pytest.fixture
def channel() -> Iterator[Channel]:
    ends = handoff.socket_pair()
    with ends[0], ends[1]:
        yield ends


@pytest.fixture
def pair() -> Iterator[Channel]:
    ends = socket.socketpair()
    with ends[0], ends[1]:
        yield ends


def descriptors() -> int:
    gc.collect()  # what other tests left in cycles must not go in the midst of this one
    return len(os.listdir("/proc/self/fd"))


def post(end: socket.socket, data: bytes, fds: list[int]) -> None:
    """Write any packet at all."""
    rights: list[tuple[int, int, Any]] = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
    end.sendmsg([data], rights)


def receive(end: socket.socket) -> handoff.HandOff:
    """The next client, whose socket is closed at once."""
    received = handoff.receive(end)
    assert received is not None
    received.sock.close()
    return received


def test_a_socket_arrives_with_its_headers(channel: Channel, pair: Channel) -> None:
    """The same connection, non-inheritable; header names in lower case, only those of the handshake."""
    headers = {"Sec-WebSocket-Key": "k" * 24, "Sec-WebSocket-Version": "13", "Cookie": "secret"}
    assert handoff.send(channel[0], pair[0].fileno(), headers)
    received = handoff.receive(channel[1])
    assert received is not None
    sock, headers, early = received
    with sock:
        assert early == b""
        assert headers == {"sec-websocket-key": "k" * 24, "sec-websocket-version": "13"}
        assert not os.get_inheritable(sock.fileno())
        sock.sendall(b"through")
        assert pair[1].recv(100) == b"through"
    assert handoff.receive(channel[1]) is None


def test_headers_are_bounded(channel: Channel, pair: Channel) -> None:
    """A value that is too long isn't passed on, and the largest that are fit into a packet whatever they hold."""
    headers = {name: "\0" * limit for name, limit in handoff.HEADERS.items()}
    assert handoff.send(channel[0], pair[0].fileno(), headers)
    assert handoff.send(channel[0], pair[0].fileno(), {name: value + "x" for name, value in headers.items()})
    for expected in (headers, {}):
        assert receive(channel[1]).headers == expected


@pytest.mark.parametrize("early", [b"x", b"\n{}\n", b"\0" * handoff.EARLY_BYTES])
def test_bytes_that_came_early_arrive_with_it(channel: Channel, pair: Channel, early: bytes) -> None:
    """As they are, beside the largest headers."""
    headers = {name: "\0" * limit for name, limit in handoff.HEADERS.items()}
    assert handoff.send(channel[0], pair[0].fileno(), headers, early)
    assert receive(channel[1])[1:] == (headers, early)


def test_a_socket_crosses_a_fork(channel: Channel, pair: Channel) -> None:
    """The worker ends right after its hand-off, as a killed one would; the connection lives on."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if handoff.send(channel[0], pair[0].fileno(), HEADERS) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    pair[0].close()
    with socket.socket(fileno=os.dup(channel[1].fileno())) as rebuilt:
        received = handoff.receive(rebuilt)
    assert received is not None
    with received[0] as sock:
        sock.sendall(f"from {os.getpid()}".encode())
    assert pair[1].recv(100) == f"from {os.getpid()}".encode()
    assert pair[1].recv(100) == b"", "no other copy is open"


def test_a_full_queue_is_told_after_the_wait(monkeypatch: pytest.MonkeyPatch, pair: Channel) -> None:
    """False within about `wait` seconds; what was queued before is still there, and there is room after reading."""
    monkeypatch.setattr(handoff, "QUEUE_BYTES", 4096)
    with ExitStack() as stack:
        worker_end, hub_end = (stack.enter_context(end) for end in handoff.socket_pair())
        queued = 0
        while handoff.send(worker_end, pair[0].fileno(), HEADERS, wait=0):
            queued += 1
            assert queued < 1000
        began = time.monotonic()
        assert not handoff.send(worker_end, pair[0].fileno(), HEADERS, wait=0.1)
        assert 0.1 <= time.monotonic() - began < 2
        for _ in range(queued):
            receive(hub_end)
        assert handoff.receive(hub_end) is None
        assert handoff.send(worker_end, pair[0].fileno(), HEADERS)


def test_a_burst_waits_while_the_hub_is_away(channel: Channel, pair: Channel) -> None:
    """Some hundred at least, even where the system's limit on buffers holds."""
    for _ in range(200):
        assert handoff.send(channel[0], pair[0].fileno(), HEADERS, wait=0)


def test_a_hub_that_is_gone_for_good_is_told(channel: Channel, pair: Channel) -> None:
    """No exception in the worker, and no wait."""
    channel[1].close()
    began = time.monotonic()
    assert not handoff.send(channel[0], pair[0].fileno(), HEADERS, wait=5)
    assert time.monotonic() - began < 1


def test_a_descriptor_that_is_closed_is_not_passed(channel: Channel) -> None:
    """False rather than an exception."""
    assert not handoff.send(channel[0], 10_000_000, HEADERS, wait=0)


def test_what_is_no_hand_off_is_dropped(channel: Channel, pair: Channel) -> None:
    """Garbage, no descriptor, too many, not a socket, not a stream: closed and passed over."""
    before = descriptors()
    good = json.dumps(HEADERS).encode()
    fd = pair[0].fileno()
    with open(os.devnull) as file, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        for data in (b"\xff garbage", b"[" * 4000, b"[1]", b"", good + b" " * 20_000):
            post(channel[0], data, [fd])
        post(channel[0], b"", [])
        for fds in ([], [fd, fd], [fd] * 100, [file.fileno()], [datagrams.fileno()]):
            post(channel[0], good, fds)
    post(channel[0], b'{"sec-websocket-key": 7, "sec-websocket-version": "13"}', [fd])
    assert receive(channel[1]).headers == {"sec-websocket-version": "13"}
    assert descriptors() == before


def test_garbage_without_end_does_not_hold_the_hub(channel: Channel) -> None:
    """One call drops a bounded number of packets."""
    for _ in range(handoff._GARBAGE + 1):
        post(channel[0], b"garbage", [])
    assert handoff.receive(channel[1]) is None
    assert handoff.receive(channel[1]) is None


def test_no_room_for_a_descriptor_loses_that_client_only(channel: Channel, pair: Channel) -> None:
    """EMFILE: the packet is dropped, its descriptor closed by the kernel; the next one comes through."""
    for _ in range(2):
        assert handoff.send(channel[0], pair[0].fileno(), HEADERS)
    before = descriptors()
    with no_descriptor():
        assert handoff.receive(channel[1]) is None
    assert descriptors() == before
    assert handoff.send(channel[0], pair[0].fileno(), HEADERS)
    receive(channel[1])


def test_the_end_of_all_workers_is_told(channel: Channel, pair: Channel) -> None:
    """What still waits is received first; then EOFError, so that the hub can stop listening."""
    assert handoff.send(channel[0], pair[0].fileno(), HEADERS)
    channel[0].close()
    receive(channel[1])
    with pytest.raises(EOFError):
        handoff.receive(channel[1])
