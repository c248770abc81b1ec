"""Connections that wait in the loop: what comes when a request is there, half there, or never; tails; who gives way."""

import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config

from hvd.daemon.client_socket import ClientSocket
from hvd.daemon.connections import BUSY, CLOSING, GONE, Connection, Connections
from hvd.daemon.pace import Limits
from hvd.metrics.clients import HALF_BODY, HALF_HEAD, IDLE, SILENT, UNREAD, WAITING
from tests.support.waiting import until

GET = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"
HALF = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n1"
LIMITS = Limits(0.2, 0.2, 0.2)
PARSER: Any = SimpleNamespace(unreader=SimpleNamespace(buf=SimpleNamespace(getvalue=lambda: b"")))


class Loop:
    """Connections without a worker: what it would do is noted."""

    def __init__(self, limits: Limits) -> None:
        self.served: list[Connection] = []
        self.finished: list[Connection] = []
        self.late: list[Connection] = []
        self.gone = 0
        self.connections = Connections(
            limits, self.served.append, self.finished.append, self._late, self._gone, is_http=True
        )
        self.limits = limits
        self._clients: list[socket.socket] = []
        self._conns: list[Connection] = []

    def _late(self, conn: Connection) -> None:
        self.late.append(conn)
        self.connections.end(conn)

    def _gone(self) -> None:
        self.gone += 1

    def client(self, data: bytes = b"") -> tuple[socket.socket, Connection]:
        ours, theirs = socket.socketpair()
        theirs.sendall(data)
        theirs.settimeout(10)
        sock = ClientSocket.of(ours, self.limits, self.connections.room)
        conn = Connection(Config(), sock, "", "", self.limits)
        self._clients.append(theirs)
        self._conns.append(conn)
        self.connections.take(conn)
        return theirs, conn

    def turn(self, places: int = 100, used: int = 0, threads: int = 100) -> list[int]:
        self.connections.on_ready()
        self.connections._next_sweep = 0
        return self.connections.sweep(places, used, threads) or []

    def close(self) -> None:
        self.connections.close()
        for client in self._clients:
            client.close()
        for conn in self._conns:
            conn.sock.close()


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop(LIMITS)
    yield made
    made.close()


@pytest.fixture
def patient() -> Iterator[Loop]:
    made = Loop(Limits())
    yield made
    made.close()


def counts(**numbers: int) -> list[int]:
    return [numbers.get(name, 0) for name in (*WAITING, "queued")]


def test_requests_that_wait_for_a_thread_are_counted(patient: Loop) -> None:
    """Those that there is none for: the ones that are served don't wait."""
    for _ in range(5):
        patient.client(GET)
    assert patient.turn(threads=8) == counts()
    assert patient.turn(threads=2) == counts(queued=3)


def test_a_request_that_is_there_goes_to_a_thread_at_once(patient: Loop) -> None:
    """Its bytes are for the thread to read."""
    _, conn = patient.client(GET)
    assert patient.served == [conn]
    assert conn.state == BUSY
    assert conn.sock.recv(100) == GET


def test_what_comes_in_pieces_waits_for_its_last(patient: Loop) -> None:
    """Each wait is counted as what it is."""
    client, conn = patient.client()
    assert patient.turn() == counts(silent=1)
    client.sendall(HALF[:10])
    assert patient.turn() == counts(half_head=1)
    client.sendall(HALF[10:])
    assert patient.turn() == counts(half_body=1)
    client.sendall(b"234")
    assert patient.turn() == counts(half_body=1)
    client.sendall(b"5")
    assert patient.turn() == counts()
    assert patient.served == [conn]
    assert conn.sock.recv(1000) == HALF + b"2345"


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


@pytest.mark.parametrize("data", [b"", b"GE", HALF])
def test_who_goes_away_is_closed_and_nobody_serves_him(patient: Loop, data: bytes) -> None:
    """Before he was ever looked at, or while he waits."""
    for _ in range(2):
        client, conn = patient.client(data)
        client.close()
        patient.turn()
        assert conn.state == GONE
        assert conn.sock.fileno() == -1
    assert patient.gone == 2
    assert not patient.served


def kept_alive(loop: Loop) -> tuple[socket.socket, Connection]:
    """A connection after its first request."""
    client, conn = loop.client(GET)
    conn.sock.recv(8192)
    conn.parser = PARSER
    loop.connections.served(conn)
    assert loop.finished == [conn]
    loop.connections.keep_alive(conn, time.monotonic() + 60)
    loop.served.clear()
    return client, conn


def test_a_kept_alive_connection_waits_for_the_next_request(patient: Loop) -> None:
    """In pieces, as the first."""
    client, conn = kept_alive(patient)
    assert patient.turn() == counts(idle=1)
    client.sendall(GET[:5])
    assert patient.turn() == counts(half_head=1)
    client.sendall(GET[5:])
    patient.turn()
    assert patient.served == [conn]


def test_an_idle_connection_expires(patient: Loop) -> None:
    """At its time; not while it is served."""
    _, conn = kept_alive(patient)
    conn.timeout = time.monotonic() + 0.05
    patient.turn()
    assert conn.state == IDLE
    until(lambda: patient.turn() == counts(), "it has expired")
    assert conn.state == GONE


def test_a_request_that_came_while_another_was_served_is_not_forgotten(patient: Loop) -> None:
    """Its edge came while the thread had the connection, or the kernel had it beside the first."""
    client, conn = patient.client(GET)
    conn.sock.recv(8192)
    conn.parser = PARSER
    client.sendall(GET)
    patient.turn()
    conn.sock.is_drained = False
    patient.served.clear()
    patient.connections.served(conn)
    patient.connections.keep_alive(conn, time.monotonic() + 60)
    assert patient.served == [conn]


def test_what_the_parser_has_read_already_counts(patient: Loop) -> None:
    """Half a pipelined request, behind the first."""
    client, conn = patient.client(GET + GET[:10])
    conn.sock.recv(8192)
    conn.parser = SimpleNamespace(unreader=SimpleNamespace(buf=SimpleNamespace(getvalue=lambda: GET[:10])))
    patient.served.clear()
    patient.connections.served(conn)
    patient.connections.keep_alive(conn, time.monotonic() + 60)
    assert patient.turn() == counts(half_head=1)
    client.sendall(GET[10:])
    patient.turn()
    assert patient.served == [conn]


def with_tail(loop: Loop) -> tuple[socket.socket, Connection, bytes]:
    """A connection whose response is not read."""
    client, conn = loop.client(GET)
    body = bytes(3 * 1024 * 1024)
    conn.sock.sendall(body)
    loop.connections.served(conn)
    return client, conn, body


def test_a_tail_is_flushed_before_the_response_is_finished(patient: Loop) -> None:
    """However long it is."""
    client, conn, body = with_tail(patient)
    assert patient.turn() == counts(unread=1)
    assert not patient.finished
    left = len(body)
    while left:
        left -= len(client.recv(1 << 20))
        patient.turn()
    assert patient.finished == [conn]


def test_who_does_not_read_is_reset(loop: Loop) -> None:
    """After its seconds."""
    client, conn, _ = with_tail(loop)
    until(lambda: loop.turn() == counts(), "it is over")
    assert conn.state == GONE
    assert not loop.finished
    while client.recv(1 << 20):
        pass


def test_an_ended_connection_waits_for_its_client_outside_of_the_loop(patient: Loop) -> None:
    """gunicorn would wait 2 s in the loop; what the client still sends is thrown away."""
    client, conn = patient.client(GET)
    patient.connections.end(conn)
    client.sendall(b"x" * 1000)
    assert client.recv(10) == b""
    patient.turn()
    assert conn.state == CLOSING
    client.close()
    patient.turn()
    assert conn.state == GONE


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


def test_memory_is_bounded(patient: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that don't read lose their tails, once they are a second old; meanwhile there is no room for more."""
    monkeypatch.setattr("hvd.daemon.connections.MEMORY_FULL", 4 * 1024 * 1024)
    _, first, _ = with_tail(patient)
    _, second, _ = with_tail(patient)
    patient.turn()
    assert patient.connections.room.is_full
    first.pace.begun -= 2
    patient.turn()
    assert (first.state, second.state) == (GONE, UNREAD)
    assert not patient.connections.room.is_full


def test_a_stop_leaves_little_time_to_begin_with_a_request(patient: Loop) -> None:
    """Whose body is on its way keeps its time."""
    silent = patient.client()[1]
    half = patient.client(HALF)[1]
    patient.connections.hurry(0)
    patient.turn()
    assert (silent.state, half.state) == (GONE, HALF_BODY)


def test_a_socket_that_is_handed_over_wakes_the_loop_no_more(patient: Loop) -> None:
    """Elsewhere it lives on: its descriptor here may be another connection's by then."""
    client, conn = kept_alive(patient)
    copy = conn.sock.dup()
    conn.sock.leave_loop()
    conn.sock.close()
    client.sendall(GET)
    assert patient.connections._epoll.poll(0) == []
    copy.close()


def test_a_failure_of_one_connection_is_its_own(patient: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would end the worker."""
    client, conn = patient.client()
    conn.sock.close()
    patient.connections._safely(patient.connections._look, conn)
    assert conn.state == GONE
    client.close()
