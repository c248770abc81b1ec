"""The messages of a running daemon as they come, over its WebSocket: TCP, TLS or a unix socket."""

import contextlib
import queue
import socket
import threading
from collections.abc import Callable, Iterator

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Ping, RejectConnection, Request, TextMessage
from wsproto.utilities import ProtocolError

from hvd.cli.client import TOKEN_REMEDY, Address, bearer, get_health
from hvd.errors import DaemonRefused, DaemonUnreachable

_READ_BYTES = 64 * 1024

Disconnect = Callable[[], None]
"""Ends a connection, from any thread."""


class _WebSocket:
    """The client's end of a WebSocket, on a connected socket that it owns.

    A thread reads all the time: pings are answered however slowly the messages are taken.
    """

    def __init__(self, sock: socket.socket, host: str, path: str, token: str) -> None:
        """Shake hands (RFC 6455 §4.1), within the socket's timeout. Raises OSError, ProtocolError, DaemonRefused."""
        self._sock = sock
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._messages: queue.SimpleQueue[str | None] = queue.SimpleQueue()  # None at the end
        self._parts: list[str] = []  # of the message in progress
        headers = [(name.encode(), bytes(value)) for name, value in bearer(token).items() if isinstance(value, bytes)]
        sock.sendall(self._protocol.send(Request(host=host, target=path, extra_headers=headers)))
        while not self._is_accepted():
            self._protocol.receive_data(sock.recv(_READ_BYTES))
        sock.settimeout(None)  # any time may pass between two messages
        threading.Thread(target=self._read, name="hvd-websocket", daemon=True).start()

    def _is_accepted(self) -> bool:
        event = next(self._protocol.events(), None)
        if isinstance(event, RejectConnection):
            if event.status_code in (401, 403):
                raise DaemonRefused(f"it answered {event.status_code} {TOKEN_REMEDY}", event.status_code)
            raise ConnectionError(f"Connection error: {event.status_code}")
        return isinstance(event, AcceptConnection)

    def receive(self, silence: float | None) -> str | None:
        """The next message, or None once the connection has ended. Raises queue.Empty after so many s without any."""
        return self._messages.get(timeout=silence)

    def _read(self) -> None:
        try:
            with contextlib.suppress(OSError, ProtocolError):
                while self._handle_events():
                    self._protocol.receive_data(self._sock.recv(_READ_BYTES) or None)
        finally:
            self._messages.put(None)

    def _handle_events(self) -> bool:
        """False once the connection has ended."""
        for event in self._protocol.events():
            if isinstance(event, TextMessage):
                self._parts.append(event.data)
                if event.message_finished:
                    self._messages.put("".join(self._parts))
                    self._parts.clear()
            elif isinstance(event, Ping):
                self._sock.sendall(self._protocol.send(event.response()))
            elif isinstance(event, CloseConnection):
                return False
        return True

    def end(self) -> None:
        """`receive` gives None from now on, once the messages before are taken. From any thread."""
        with contextlib.suppress(OSError):
            # The thread, which may be reading, hears of this only; ssl's own shutdown would take its TLS from it.
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Free the descriptor."""
        self.end()
        self._sock.close()


def messages(
    address: Address,
    timeout: float,
    *,
    path: str = "/ws",
    silence: float | None = None,
    opened: Callable[[Disconnect], None] = lambda end: None,
) -> Iterator[str]:
    """Each message's text, until the daemon closes the connection. Raises DaemonUnreachable, DaemonRefused.

    `timeout`, in s, is for reaching the daemon; between two messages `silence` seconds may pass, or any time. `opened`
    gets what ends the connection.
    """
    # says clearly what is wrong where nothing or something else answers
    get_health(address, timeout)
    try:
        connection = _open(address, timeout, path)
    except (OSError, ProtocolError) as error:
        raise DaemonUnreachable(f"{address.url}/ws refused the connection ({error}): try again") from None
    except DaemonRefused as error:
        raise DaemonRefused(f"{address.url}/ws refused the connection: {error}", error.status) from None
    try:
        opened(connection.end)
        while (message := connection.receive(silence)) is not None:
            yield message
    except queue.Empty:
        raise DaemonUnreachable(f"{address.url} has sent nothing for {silence:g} s") from None
    finally:
        connection.close()
    raise DaemonUnreachable(f"{address.url} closed the connection: its daemon stopped or was replaced")


def _open(address: Address, timeout: float, path: str) -> _WebSocket:
    try:
        return _shake_hands(address, timeout, path, "")
    except DaemonRefused as error:
        if error.status != 401 or not address.token:
            raise
    return _shake_hands(address, timeout, path, address.token)


def _shake_hands(address: Address, timeout: float, path: str, token: str) -> _WebSocket:
    sock = address.connect(timeout)
    try:
        return _WebSocket(sock, address.authority, f"{address.prefix}{path}", token)
    except BaseException:
        sock.close()
        raise
