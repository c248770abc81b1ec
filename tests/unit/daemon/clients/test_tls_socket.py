"""Sockets under TLS: whole records, and waiting that ends."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hvd.daemon.clients.pace import Limits, Pace
from hvd.daemon.clients.tls_socket import LimitedTLSSocket, TimedSocket, is_whole_record
from hvd.metrics.clients import UNREAD


def test_a_record_is_there_with_its_last_byte() -> None:
    """A handshake's, or one of data; what begins otherwise is for TLS to refuse."""
    for kind in (b"\x16", b"\x17"):
        record = kind + b"\x03\x03\x01\x00" + bytes(256)
        assert not any(is_whole_record(record[:size]) for size in range(len(record)))
        assert is_whole_record(record)
    assert is_whole_record(b"GET / HTTP/1.1\r\n")
    assert not is_whole_record(b"")


def test_a_socket_for_tls_blocks_for_a_time_only() -> None:
    """That of its class, unless it has one of its own."""
    with TimedSocket() as sock:
        sock.setblocking(True)
        assert sock.gettimeout() == 10
        sock.setblocking(False)
        assert sock.gettimeout() == 0


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[LimitedTLSSocket, ssl.SSLSocket]]:
    """Both ends of a TLS connection, ours with limits of 0.1 s."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=t", "-days", "2"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(certificate, key)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    ends = socket.socketpair()
    theirs: list[ssl.SSLSocket] = []
    thread = threading.Thread(target=lambda: theirs.append(client.wrap_socket(ends[1])))
    thread.start()
    ours = server.wrap_socket(ends[0], server_side=True)
    thread.join()
    LimitedTLSSocket.make_of(ours, Limits(0.1, 0.1, 0.1))
    assert isinstance(ours, LimitedTLSSocket)
    yield ours, theirs[0]
    ours.close()
    theirs[0].close()


def test_what_comes_is_read(pair: tuple[LimitedTLSSocket, ssl.SSLSocket]) -> None:
    """And what is sent, arrives."""
    ours, theirs = pair
    ours.setblocking(True)
    theirs.sendall(b"hello")
    assert ours.recv(100) == b"hello"
    ours.sendall(b"world")
    assert theirs.recv(100) == b"world"
    assert ours.gettimeout() is None
    assert ours.waits_for is None


def test_who_is_slow_is_as_one_who_has_gone(pair: tuple[LimitedTLSSocket, ssl.SSLSocket]) -> None:
    """Silent, or reading nothing."""
    ours, _ = pair
    ours.setblocking(True)
    ours.begin_request()
    with pytest.raises(ConnectionResetError):
        ours.recv(100)
    with pytest.raises(ConnectionResetError):
        ours.sendall(bytes(8_000_000))


def test_gunicorns_timeouts_stay_its_own(pair: tuple[LimitedTLSSocket, ssl.SSLSocket]) -> None:
    """HTTP/2 sets some."""
    ours, _ = pair
    ours.settimeout(0.01)
    with pytest.raises(TimeoutError):
        ours.recv(100)
    assert ours.gettimeout() == 0.01
    assert not ours.gives_way(1e9, 1)


def test_a_wait_may_end_while_it_is_looked_at() -> None:
    """In another thread: an exception here would end the worker."""
    paces = [Pace(0), None]

    class Ending(LimitedTLSSocket):
        waits_for = UNREAD

        @property
        def _pace(self) -> Pace | None:
            return paces.pop(0)

        @_pace.setter
        def _pace(self, pace: Pace | None) -> None:
            raise NotImplementedError

    assert Ending.__new__(Ending).gives_way(10, 1)
    assert paces == [None]
