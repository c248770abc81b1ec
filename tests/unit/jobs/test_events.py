"""What happens to jobs, through a real socket pair: told at once or not at all, never in anybody's way."""

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from hvd.jobs import events
from hvd.jobs.events import PACKET, receive, send
from tests.unit.core.support import ended, fork

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    writers, reader = events.socket_pair()
    yield writers, reader
    writers.close()
    reader.close()


def received(reader: socket.socket) -> list[object]:
    found = []
    while (job := receive(reader)) is not None:
        found.append(job)
    return found


def test_what_is_sent_is_received_in_order(pair: Pair) -> None:
    """One packet a job, whatever its text is; then there is none."""
    writers, reader = pair
    jobs = [{"id": str(number), "name": "grüße \ud800\n\0", "params": {"n": [number]}} for number in range(5)]
    for job in jobs:
        send(writers, job)
    assert received(reader) == jobs
    assert receive(reader) is None


def test_a_full_channel_drops_and_never_waits(pair: Pair) -> None:
    """Also where the socket blocks; what had found room is whole, and there is room again once it is read."""
    writers, reader = pair
    writers.setblocking(True)
    jobs = [{"id": number, "name": "x" * 1000} for number in range(5000)]
    sending = threading.Thread(target=lambda: [send(writers, job) for job in jobs], daemon=True)
    sending.start()
    sending.join(10)
    assert not sending.is_alive(), "it waits"
    found = received(reader)
    assert 0 < len(found) < 5000
    assert found == jobs[: len(found)]
    send(writers, {"id": "later"})
    assert received(reader) == [{"id": "later"}]


def test_a_reader_that_is_gone_is_no_error(pair: Pair) -> None:
    """Neither an exception nor SIGPIPE, which would end a process that doesn't ignore it; nor is a closed end."""
    writers, reader = pair
    reader.close()

    def write() -> None:
        import signal

        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        send(writers, {"id": "x"})
        writers.close()
        send(writers, {"id": "x"})

    assert ended(fork(write)) == 0


def test_writers_that_are_all_gone_are_told_from_an_empty_channel(pair: Pair) -> None:
    """What they told before they went is received first."""
    writers, reader = pair
    send(writers, {"id": "last"})
    writers.close()
    assert receive(reader) == {"id": "last"}
    with pytest.raises(EOFError):
        receive(reader)


def test_a_job_that_is_too_big_is_dropped(pair: Pair) -> None:
    """Cut off it would be no JSON; the next one arrives."""
    writers, reader = pair
    for length in (PACKET, 10 * PACKET):
        send(writers, {"id": "big", "name": "x" * length})
        send(writers, {"id": "next"})
        assert {"id": "next"} in (receive(reader), receive(reader))


@pytest.mark.parametrize("packet", [b"x", b"\xff", b"[1]", b"7", b'"id"', b"null", b"{", b"[" * 100])
def test_a_packet_that_is_no_job_is_none(pair: Pair, packet: bytes) -> None:
    """It is used up: the next one arrives."""
    writers, reader = pair
    writers.send(packet)
    send(writers, {"id": "next"})
    assert receive(reader) is None
    assert receive(reader) == {"id": "next"}


def test_no_end_blocks_or_is_inherited(pair: Pair) -> None:
    """The master passes them to whom it means to."""
    for end in pair:
        assert not end.getblocking()
        assert not os.get_inheritable(end.fileno())


def test_many_writers_send_whole_packets(pair: Pair) -> None:
    """Four processes at the same socket."""
    writers, reader = pair
    pids = [fork(lambda name=name: [send(writers, {"id": name * 500}) for _ in range(20)]) for name in "abcd"]
    assert [ended(pid) for pid in pids] == [0] * 4
    found = received(reader)
    assert sorted(str(job) for job in found) == sorted(str({"id": name * 500}) for name in "abcd" for _ in range(20))
