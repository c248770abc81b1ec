"""Connections that wait in the loop: what comes of a request that is there, that comes in pieces, and of tails."""

import os
import socket
import time
from types import SimpleNamespace

import pytest

from hvd.daemon.clients.connection import BUSY, CLOSING, GONE, Connection
from tests.unit.daemon.clients.loop import GET, HALF, PARSER, Loop, counts, kept_alive, with_tail


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


def test_an_event_of_a_connection_that_is_closed_is_not_taken_for_the_next_one_s(patient: Loop) -> None:
    """Which was accepted in the same turn, and has its descriptor."""
    client, conn = kept_alive(patient)
    reader, writer = os.pipe()
    accepted: list[tuple[socket.socket, Connection]] = []

    def accept(source: int) -> None:
        os.read(source, 1)
        patient.connections.drop(conn)
        accepted.append(patient.client(HALF))

    patient.connections.register(reader, 1, accept)
    os.write(writer, b"x")
    client.shutdown(socket.SHUT_WR)
    patient.connections.wait(0)
    ((other, another),) = accepted
    assert another.fd == conn.fd
    for piece in (b"23", b"45"):
        other.sendall(piece)
        patient.turn()
    assert patient.served == [another]
    patient.connections.unregister(reader)
    for fd in (reader, writer):
        os.close(fd)


@pytest.mark.parametrize("data", [GET[:5], HALF])
def test_who_goes_away_right_behind_a_part_of_a_request_is_closed(patient: Loop, data: bytes) -> None:
    """The kernel tells of both at once."""
    client, conn = patient.client()
    client.sendall(data)
    client.shutdown(socket.SHUT_WR)
    patient.turn()
    assert conn.state == GONE


@pytest.mark.parametrize("is_busy", [False, True])
def test_who_goes_away_right_behind_a_request_is_answered_and_closed(patient: Loop, is_busy: bool) -> None:
    """Also where the request came while another one was served."""
    client, conn = kept_alive(patient)
    if is_busy:
        client.sendall(GET)
        patient.turn()
    client.sendall(GET)
    client.shutdown(socket.SHUT_WR)
    patient.turn()
    for _ in range(1 + is_busy):
        assert conn.state == BUSY
        conn.sock.recv(8192)
        patient.connections.end_service(conn)
        patient.connections.keep_alive(conn, time.monotonic() + 60)
    assert conn.state == GONE
    assert len(patient.served) == 1 + is_busy


def test_a_kept_alive_connection_waits_for_the_next_request(patient: Loop) -> None:
    """In pieces, as the first."""
    client, conn = kept_alive(patient)
    assert patient.turn() == counts(idle=1)
    client.sendall(GET[:5])
    assert patient.turn() == counts(half_head=1)
    client.sendall(GET[5:])
    patient.turn()
    assert patient.served == [conn]


def test_a_request_that_came_while_another_was_served_is_not_forgotten(patient: Loop) -> None:
    """Its edge came while the thread had the connection, or the kernel had it beside the first."""
    client, conn = patient.client(GET)
    conn.sock.recv(8192)
    conn.parser = PARSER
    client.sendall(GET)
    patient.turn()
    conn.sock.is_drained = False
    patient.served.clear()
    patient.connections.end_service(conn)
    patient.connections.keep_alive(conn, time.monotonic() + 60)
    assert patient.served == [conn]


def test_what_the_parser_has_read_already_counts(patient: Loop) -> None:
    """Half a pipelined request, behind the first."""
    client, conn = patient.client(GET + GET[:10])
    conn.sock.recv(8192)
    conn.parser = SimpleNamespace(unreader=SimpleNamespace(buf=SimpleNamespace(getvalue=lambda: GET[:10])))
    patient.served.clear()
    patient.connections.end_service(conn)
    patient.connections.keep_alive(conn, time.monotonic() + 60)
    assert patient.turn() == counts(half_head=1)
    client.sendall(GET[10:])
    patient.turn()
    assert patient.served == [conn]


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
    patient.connections.step(patient.connections._look, conn)
    assert conn.state == GONE
    client.close()


def test_requests_whose_rest_a_thread_waits_for_leave_a_thread_to_others(patient: Loop) -> None:
    """Two of three threads are theirs at most; the next one follows when one of them ends."""
    expecting = HALF.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    first, second, third = (patient.client(expecting)[1] for _ in range(3))
    _, whole = patient.client(GET)
    assert patient.served == [first, second, whole]
    assert [*patient.connections.queue] == [third]
    assert patient.turn(threads=3) == counts(half_body=1), "it waits for its client, no whole request for a thread"
    patient.connections.end_service(first)
    assert patient.served[-1] == third
