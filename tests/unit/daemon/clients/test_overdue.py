"""Connections that take too long: which end, and which give way to others."""

import time

import pytest

from hvd.daemon.clients.connection import GONE
from hvd.daemon.clients.overdue import _holds_a_thread
from hvd.metrics.clients import HALF_BODY, HALF_HEAD, IDLE, SILENT, UNREAD
from tests.support.waiting import until
from tests.unit.daemon.clients.loop import HALF, Loop, counts, kept_alive, with_tail


@pytest.mark.parametrize(("data", "is_answered"), [(b"", False), (b"GE", True), (HALF, True)])
def test_who_takes_too_long_is_answered_or_closed(loop: Loop, data: bytes, is_answered: bool) -> None:
    """408 for a part of a request; nothing for one who said nothing."""
    client, conn = loop.client(data)
    loop.turn()
    assert not loop.late
    until(lambda: loop.turn() and (loop.late or loop.gone), "it is over")
    assert loop.late == ([conn] if is_answered else [])
    assert not loop.served
    assert client.recv(10) == b""


def test_an_idle_connection_expires(patient: Loop) -> None:
    """At its time; not while it is served."""
    _, conn = kept_alive(patient)
    conn.timeout = time.monotonic() + 0.05
    patient.turn()
    assert conn.state == IDLE
    until(lambda: patient.turn() == counts(), "it has expired")
    assert conn.state == GONE


def test_who_does_not_read_is_reset(loop: Loop) -> None:
    """After its seconds."""
    client, conn, _ = with_tail(loop)
    until(lambda: loop.turn() == counts(), "it is over")
    assert conn.state == GONE
    assert not loop.finished
    while client.recv(1 << 20):
        pass


def test_where_places_are_used_up_the_oldest_give_way(patient: Loop) -> None:
    """The idle at once, others once they are a second old."""
    _, idle = kept_alive(patient)
    _, silent = patient.client()
    _, half = patient.client(b"GE")
    patient.turn(places=3, used=3)
    assert (idle.state, silent.state, half.state) == (GONE, SILENT, HALF_HEAD)
    silent.pace.begun -= 2
    patient.turn(places=3, used=3)
    assert (silent.state, half.state) == (GONE, HALF_HEAD)
    half.pace.begun -= 2
    patient.turn(places=3, used=1)
    assert half.state == HALF_HEAD


def test_room_is_made_at_once_for_one_who_comes(patient: Loop) -> None:
    """One at a time: the idle first, then the oldest of those that are slow for long enough; nobody else."""
    _, idle = kept_alive(patient)
    _, silent = patient.client()
    _, half = patient.client(b"GE")
    half.pace.begun -= 0.2
    half.pace.moved_at -= 0.2
    states = []
    for _ in range(3):
        patient.overdue.make_room(0.1)
        states.append((idle.state, silent.state, half.state))
    assert states == [(GONE, SILENT, HALF_HEAD), (GONE, SILENT, GONE), (GONE, SILENT, GONE)]


def test_memory_is_bounded(patient: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that don't read lose their tails after a look or two; meanwhile there is no room for more."""
    monkeypatch.setattr("hvd.daemon.clients.overdue.MEMORY_FULL", 4 * 1024 * 1024)
    _, first, _ = with_tail(patient)
    _, second, _ = with_tail(patient)
    patient.turn()
    assert patient.connections.room.is_full
    first.pace.moved_at -= 1
    patient.turn()
    assert (first.state, second.state) == (GONE, UNREAD)
    assert not patient.connections.room.is_full


def test_a_stop_leaves_little_time_to_begin_with_a_request(patient: Loop) -> None:
    """Whose body is on its way keeps its time."""
    silent = patient.client()[1]
    half = patient.client(HALF)[1]
    patient.overdue.hurry(0)
    patient.turn()
    assert (silent.state, half.state) == (GONE, HALF_BODY)


def test_who_is_slow_keeps_no_process_from_being_replaced(patient: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is to end, whoever is slow has some seconds, not those of his limits."""
    monkeypatch.setattr("hvd.daemon.clients.overdue.WAY", 0.05)
    _, half = patient.client(HALF)
    _, unread, _ = with_tail(patient)
    until(lambda: patient.turn() and half.pace.gives_way(time.monotonic(), 0.05), "they are slow")
    assert patient.turn() == counts(half_body=1, unread=1)
    patient.overdue.makes_way = True
    until(lambda: patient.turn()[UNREAD] == 0, "they have made way")
    assert (patient.late, unread.state) == ([half], GONE)


def test_a_handshake_may_end_while_it_is_looked_at() -> None:
    """In its thread: an exception here would end the worker."""
    begins = [0.0, None]

    class Ending:
        sock = None
        handshake_since = property(lambda _: begins.pop(0))

    assert _holds_a_thread(Ending(), 10.0, 1.0)  # type: ignore[arg-type]
    assert begins == [None]
