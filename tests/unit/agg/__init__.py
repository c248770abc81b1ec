"""What the tests of the hub share: a hub that counts here, and the client's end of a connection."""

import asyncio
import socket
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from hvd.agg.client import Limits
from hvd.agg.hub import Hub
from hvd.core.catalogue import Family
from hvd.metrics.table import WS_DISCONNECTED
from tests.support.loop import PATIENCE
from tests.support.ws import CLOSE, client_frame

HEADERS = {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version": "13"}


class Peer:
    """The client's end: writes and reads frames as bytes, with no library in between."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._read = b""

    async def response(self) -> bytes:
        """-> the head of the HTTP response."""
        while b"\r\n\r\n" not in self._read:
            self._read += await self._some()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        return head

    async def frame(self) -> tuple[int, bytes]:
        """-> opcode and payload of the next frame, which must be whole and unmasked."""
        first, length = await self._bytes(2)
        if length == 126:
            (length,) = struct.unpack("!H", await self._bytes(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await self._bytes(8))
        assert first & 0xF0 == 0x80, "final, no reserved bits"
        return first & 0x0F, await self._bytes(length)

    async def close_code(self) -> int | None:
        """-> the code of the close frame that comes next but for pings and text."""
        while True:
            opcode, payload = await self.frame()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big") if payload else None

    async def end(self) -> None:
        """Read until the hub has ended its side."""
        try:
            while await self._some():
                pass
        except (EOFError, ConnectionResetError):
            pass

    def say(self, opcode: int, payload: bytes = b"", *, final: bool = True, masked: bool = True) -> None:
        """Write one frame."""
        self.sock.sendall(client_frame(opcode, payload, final=final, masked=masked))

    async def _bytes(self, n: int) -> bytes:
        while len(self._read) < n:
            self._read += await self._some()
        taken, self._read = self._read[:n], self._read[n:]
        return taken

    async def _some(self) -> bytes:
        loop = asyncio.get_running_loop()
        data = await asyncio.wait_for(loop.sock_recv(self.sock, 65536), PATIENCE)
        if not data:
            raise EOFError
        return data


class Scene:
    """A hub, its clients, and what it counts: this stands for the rows of an aggregator."""

    def __init__(
        self,
        greeting: Callable[[bool], tuple[str, ...]] = lambda _: (),
        max_clients: int = 1_000_000,
        clock: Callable[[], float] = time.monotonic,
        **limits: Any,
    ) -> None:
        self.responses: list[str] = []
        self.counted: Counter[Family] = Counter()
        self.reasons: Counter[str] = Counter()
        rows: Any = self
        self.hub = Hub(rows=rows, greeting=greeting, limits=Limits(**limits), max_clients=max_clients, clock=clock)
        self._peers: list[Peer] = []

    def count_response(self, labels: tuple[str, ...], is_error: bool) -> None:
        self.responses.append(labels[-1])

    def count(self, family: Family, labels: tuple[str, ...] = (), by: int = 1) -> None:
        self.counted[family] += by
        if family is WS_DISCONNECTED:
            self.reasons.update(labels)

    def pair(self, family: int = socket.AF_UNIX) -> tuple[socket.socket, Peer]:
        """-> the server's end of a new connection, and the client's."""
        if family == socket.AF_UNIX:
            ours, theirs = socket.socketpair()
        else:
            with socket.create_server(
                ("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family
            ) as server:
                theirs = socket.create_connection(server.getsockname()[:2])
                ours, _ = server.accept()
        peer = Peer(theirs)
        self._peers.append(peer)
        return ours, peer

    def adopt(self, family: int = socket.AF_UNIX, early: bytes = b"", **headers: str) -> tuple[socket.socket, Peer]:
        """-> both ends of a new connection, which the hub has been given with those headers instead of the usual."""
        ours, peer = self.pair(family)
        self.hub.adopt(ours, {**HEADERS, **headers}, early)
        return ours, peer

    async def client(self, family: int = socket.AF_UNIX) -> Peer:
        """-> the client's end of a connection that the hub has just adopted."""
        _, peer = self.adopt(family)
        assert b" 101 " in await peer.response()
        return peer

    async def close(self) -> None:
        for peer in self._peers:
            peer.sock.close()
        await self.hub.close()


@asynccontextmanager
async def scene(**options: Any) -> AsyncIterator[Scene]:
    """A scene that is tidied up at the end."""
    made = Scene(**options)
    try:
        yield made
    finally:
        await made.close()
