"""A connection of a threaded worker: what the loop can read, and how TLS is bounded."""

import socket
from unittest.mock import Mock

import pytest
from gunicorn.config import Config
from gunicorn.workers.gthread import TConn

from hvd.daemon.clients.client_socket import ClientSocket
from hvd.daemon.clients.connection import Connection, Idle
from hvd.daemon.clients.pace import Limits


def test_only_plain_http_can_be_read_by_the_loop() -> None:
    """Not TLS, not uWSGI's protocol."""
    ours, theirs = socket.socketpair()
    with theirs, ClientSocket.of(ours, Limits()) as client:
        assert Connection(Config(), client, "", "", Limits()).is_plain
        assert not Connection(Config(), client, "", "", Limits(), is_http=False).is_plain
        assert not Connection(Config(), Mock(spec=socket.socket), "", "", Limits()).is_plain


def test_a_handshake_that_takes_too_long_is_a_client_that_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """gunicorn logs nothing of that; meanwhile it shows since when the thread waits."""
    cfg = Mock(is_ssl=True, protocol="http")
    conn = Connection(cfg, Mock(), "", "", Limits())

    def handshake(self: TConn) -> None:
        assert conn.handshake_since
        raise TimeoutError

    monkeypatch.setattr(TConn, "init", handshake)
    with pytest.raises(ConnectionResetError):
        conn.init()
    assert conn.handshake_since is None
    conn.initialized = True
    conn.init()
    conn.sock.begin_request.assert_called_once()


def test_idle_connections_are_what_gunicorn_needs_of_its_deque() -> None:
    """A length, a truth, the first, and all of them in order."""
    idle, first, second = Idle(), Mock(), Mock()
    assert not idle
    idle.add(first, None)
    idle.add(second, None)
    assert (len(idle), idle[0], [*idle]) == (2, first, [first, second])
    idle.pop(first, None)
    assert idle[0] is second
