"""The messages of a running daemon as they come, over its WebSocket: TCP or unix socket."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from functools import partial

import simple_websocket
from simple_websocket.ws import Base
from wsproto import ConnectionType
from wsproto.utilities import ProtocolError

from hvd.cli.client import Address, get_object
from hvd.errors import DaemonUnreachable


class _Client(simple_websocket.Client):  # type: ignore[misc]
    """On a socket that is open already: the library's constructor opens TCP connections only, to the first address.

    What `handshake` reads is set here, by the names of simple-websocket 1.1.0 (`extra_headeers` is spelled so).
    """

    def __init__(self, sock: socket.socket, host: str, path: str) -> None:
        self.host = host
        self.path = path
        self.subprotocols: list[str] = []
        self.extra_headeers: list[tuple[str, str]] = []
        Base.__init__(self, sock, connection_type=ConnectionType.CLIENT)

    def handshake(self) -> None:
        super().handshake()
        self.sock.settimeout(None)  # before the library's thread reads: any time may pass between two messages


End = Callable[[], None]
"""Ends a connection, from any thread."""


def messages(
    address: Address,
    timeout: float,
    *,
    path: str = "/ws",
    silence: float | None = None,
    opened: Callable[[End], None] = lambda end: None,
) -> Iterator[str]:
    """Each message's text, until the daemon closes the connection. Raises DaemonUnreachable.

    `timeout`, in s, is for reaching the daemon; between two messages `silence` seconds may pass, or any time. `opened`
    gets what ends the connection.
    """
    get_object(address, "/health", timeout)  # says clearly what is wrong where nothing or something else answers
    try:
        client = _open(address, timeout, path)
    except (OSError, ProtocolError, simple_websocket.ConnectionError) as error:
        raise DaemonUnreachable(f"{address.url}/ws refused the connection ({error}): try again") from None
    try:
        opened(partial(_shut_down, client.sock))
        while True:
            message = client.receive(silence)
            if message is not None:
                yield str(message)
            elif silence is not None:
                raise DaemonUnreachable(f"{address.url} has sent nothing for {silence:g} s")
    except simple_websocket.ConnectionClosed:
        raise DaemonUnreachable(f"{address.url} closed the connection: its daemon stopped or was replaced") from None
    finally:
        _shut_down(client.sock)  # the library's thread, which may be reading, hears of this only
        client.sock.close()


def _shut_down(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _open(address: Address, timeout: float, path: str) -> _Client:
    sock = _connect(address, timeout)
    try:
        return _Client(sock, f"{address.host}:{address.port}", path)
    except BaseException:
        sock.close()
        raise


def _connect(address: Address, timeout: float) -> socket.socket:
    if not address.unix_path:
        return socket.create_connection((address.host, address.port), timeout)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(timeout)
        sock.connect(address.unix_path)
    except BaseException:
        sock.close()
        raise
    return sock
