"""The hub: every WebSocket client of the daemon, in one event loop.

A frame is encoded once and the same bytes are written to all. A client that doesn't read loses old frames, then its
connection; it never delays another.
"""

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import Callable, Mapping

from hvd.agg import handoff, protocol
from hvd.agg.answers import count_answer
from hvd.agg.client import Client, Limits, prepare
from hvd.agg.options import SPARE_DESCRIPTORS
from hvd.core.descriptors import limit
from hvd.core.rows import Rows
from hvd.metrics.table import HANDOFFS_REFUSED, WS_CONNECTED, WS_DISCONNECTED, WS_DROPPED, WS_FRAMES

HANDOFFS_PER_WAKE = 64  # some 5 ms of handshakes, then the loop turns: a burst of clients doesn't hold a broadcast up
_SWEEP = 1.0  # s at most between two looks at who is due for a ping; shorter when the ping times ask for it


class Hub:
    """All clients, and what is sent to all of them. Not thread-safe: create and use it in the event loop's thread.

    `greeting` gives the texts of the first frames; its argument says whether the client asked for details. At most
    `max_clients` are admitted, and fewer where the limit on open files is lower. It counts in `rows`: a frame counts
    once it is written or queued. `clock` gives seconds.
    """

    def __init__(
        self,
        *,
        rows: Rows,
        greeting: Callable[[bool], tuple[str, ...]],
        limits: Limits,
        max_clients: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._rows = rows
        self._greeting = greeting
        self._limits = limits
        self._max_clients = _allowed(max_clients)
        self._clock = clock
        self._clients: dict[Client, None] = {}
        self._access = ""
        self._detailed: dict[Client, None] = {}  # those of them that asked for details
        self._leaving: set[Client] = set()  # not clients any more, their descriptors not closed yet
        self._all_gone: asyncio.Event | None = None  # set by `close`
        self._listening: set[int] = set()  # descriptors that `listen` watches
        self._greeted: dict[bool, tuple[tuple[str, ...], bytes]] = {}
        self._timer = self._loop.call_later(self._sweep_every, self._sweep)

    def set_limits(self, max_clients: int, ping_interval: float, ping_timeout: float) -> None:
        """Apply new settings: all clients stay, but no others are admitted while there are `max_clients` or more.

        How long TCP waits for a silent peer does not change for open connections.
        """
        self._max_clients = _allowed(max_clients)
        if (ping_interval, ping_timeout) == (self._limits.ping_interval, self._limits.ping_timeout):
            return
        self._limits.ping_interval, self._limits.ping_timeout = ping_interval, ping_timeout
        for client in self._clients:
            client.ping_by(self._first_ping())
        self._timer.cancel()
        self._timer = self._loop.call_later(self._sweep_every, self._sweep)

    def set_access(self, access: str) -> None:
        """Set the rule of who may read, by its name; "" for anybody. Clients of an older rule have to reconnect."""
        before, self._access = self._access, access
        if access and access != before:
            for client in tuple(self._clients):
                client.end(protocol.POLICY_VIOLATION, "access")

    @property
    def _sweep_every(self) -> float:
        return min(_SWEEP, self._limits.ping_interval / 4, self._limits.ping_timeout / 4)

    def _first_ping(self) -> float:
        """When to ping a client: at random, so that clients which connected together are not pinged in one sweep."""
        return self._clock() + self._limits.ping_interval * random.uniform(0.5, 1)

    @property
    def clients(self) -> int:
        """How many clients are connected."""
        return len(self._clients)

    @property
    def detailed_clients(self) -> int:
        """How many of them asked for details."""
        return len(self._detailed)

    def adopt(self, sock: socket.socket, headers: Mapping[str, str], early: bytes = b"") -> None:
        """Answer the handshake that a worker has read from `sock`, make it a client and send the greeting; `early` are
        bytes that came after the handshake.

        The hub owns `sock` from now on. A handshake that can't be accepted gets an HTTP error; nothing that the peer
        did raises an exception. Names in `headers` are in lower case.
        """
        is_outdated = self._access and headers.get(handoff.ACCESS) != self._access
        if self._all_gone or is_outdated or self.clients + len(self._leaving) >= self._max_clients:
            response = protocol.refusal("503 Service Unavailable", "Retry-After: 2")
        else:
            response = protocol.handshake(headers)
        try:
            prepare(sock, self._limits.ping_interval + self._limits.ping_timeout)
            self._count_response(response, headers)  # before its first byte leaves
            # a new socket's buffer is empty: what it doesn't take of these few bytes, a dead peer doesn't need
            is_sent = sock.send(response.data) == len(response.data)
        except OSError:
            is_sent = False
        if not (response.accepts and is_sent):
            sock.close()
            return
        client = Client(sock, self._loop, self, self._limits, self._first_ping())
        self._clients[client] = None
        detailed = headers.get(handoff.DETAIL) == "1"
        if detailed:
            self._detailed[client] = None
        self._rows.count(WS_CONNECTED)
        self._greet(client, detailed)
        client.receive(early)

    def broadcast(self, text: str, *, detailed: bool = False) -> None:
        """Send `text` as one text frame to every client, or to those that asked for details; returns at once."""
        clients = tuple(self._detailed if detailed else self._clients)  # sending may end one
        if not clients:
            return
        frame = protocol.text_frame(text)
        self._rows.count(WS_FRAMES, (), [client.send(frame) for client in clients].count(True))

    def listen(self, hub_end: socket.socket) -> None:
        """Adopt what workers hand off through `hub_end` (see `handoff`), which stays the caller's to close."""
        hub_end.setblocking(False)
        self._listening.add(hub_end.fileno())
        self._loop.add_reader(hub_end.fileno(), self._take, hub_end)

    async def close(self, deadline: float = 1.0) -> None:
        """Send 1001 (going away) to every client; all descriptors are closed after `deadline` seconds at most.

        Hand-offs that were not taken wait in their socket for the next hub. Later calls of `adopt` refuse with 503.
        """
        self._timer.cancel()
        for fd in tuple(self._listening):
            self._unlisten(fd)
        self._all_gone = asyncio.Event()
        for client in tuple(self._clients):
            client.end(protocol.GOING_AWAY, "going_away")
        if self._leaving:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_gone.wait(), deadline)
        for client in tuple(self._leaving):
            client.abort("going_away")

    def client_left(self, client: Client, reason: str) -> None:
        """The client takes no frames any more. Called once. `reason` is `client`, `error`, `ping_timeout`, `too_slow`,
        `flood`, `message_too_big`, `protocol`, `access` or `going_away`.
        """
        del self._clients[client]
        self._detailed.pop(client, None)
        self._leaving.add(client)
        self._rows.count(WS_DISCONNECTED, (reason,))

    def client_closed(self, client: Client) -> None:
        """Its descriptor is closed. Called once, after `client_left`."""
        self._leaving.discard(client)
        if self._all_gone and not self._leaving and not self._clients:
            self._all_gone.set()

    def frame_dropped(self) -> None:
        """A frame was dropped because its client hadn't read the ones before it."""
        self._rows.count(WS_DROPPED)

    def _count_response(self, response: protocol.Response, headers: Mapping[str, str]) -> None:
        count_answer(self._rows, headers, response.status)
        if not response.accepts:
            self._rows.count(HANDOFFS_REFUSED, (response.status,))

    def _greet(self, client: Client, detailed: bool) -> None:
        texts = self._greeting(detailed)
        if not texts:
            return
        greeted = self._greeted.get(detailed)
        if greeted is None or texts != greeted[0]:  # thousands connect at once after a restart: encode for all once
            greeted = self._greeted[detailed] = (texts, b"".join(map(protocol.text_frame, texts)))
        if client.send(greeted[1]):
            self._rows.count(WS_FRAMES, (), len(texts))

    def _take(self, hub_end: socket.socket) -> None:
        for _ in range(HANDOFFS_PER_WAKE):
            try:
                received = handoff.receive(hub_end)
            except EOFError:
                self._unlisten(hub_end.fileno())
                return
            if received is None:
                return
            self.adopt(*received)

    def _unlisten(self, fd: int) -> None:
        self._listening.discard(fd)
        self._loop.remove_reader(fd)

    def _sweep(self) -> None:
        self._timer = self._loop.call_later(self._sweep_every, self._sweep)
        now = self._clock()
        for client in tuple(self._clients):
            client.sweep(now)


def _allowed(max_clients: int) -> int:
    """The smaller of `max_clients` and what the limit on open files allows."""
    return min(max_clients, limit() - min(SPARE_DESCRIPTORS, limit() // 2))
