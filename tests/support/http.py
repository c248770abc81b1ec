"""A plain HTTP/1.1 client on a socket, kept alive, and the load made with many of them."""

import json
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from tests.support.waiting import PATIENCE

Address = tuple[str, int] | str
"""Of TCP, or the path of a unix socket."""


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def connect(address: Address, timeout: float = 30) -> socket.socket:
    """A connection whose calls may take `timeout` s, times PATIENCE."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    sock = socket.socket(family)
    sock.settimeout(timeout * PATIENCE)
    try:
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


class Connection:
    """One client connection, opened when needed. Not thread-safe."""

    def __init__(self, address: Address, timeout: float = 30) -> None:
        self._address = address
        self._timeout = timeout
        self._sock: socket.socket | None = None
        self._data = b""

    def get(self, path: str, **headers: str) -> Response:
        return self.request("GET", path, headers)

    def request(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Response:
        """Send, and read the answer. Raises OSError where the connection ends before the answer is complete."""
        lines = [f"{method} {path} HTTP/1.1"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in {"Host": "test", **(headers or {})}.items()]
        lines += [f"Content-Length: {len(body)}"] if body else []
        return self.exchange("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body, head=method == "HEAD")

    def exchange(self, request: bytes, *, head: bool = False) -> Response:
        """Send these bytes as they are, and read one response."""
        if self._sock is None:
            self._sock = connect(self._address, self._timeout)
            self._data = b""
        try:
            self._sock.sendall(request)
            return self._read(head)
        except BaseException:
            self.close()
            raise

    def _read(self, head: bool) -> Response:
        while b"\r\n\r\n" not in self._data:
            self._receive()
        top, _, self._data = self._data.partition(b"\r\n\r\n")
        first, *lines = top.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split()[1])
        body = b"" if head or status in (204, 304) else self._body(headers)
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Response(status, headers, body)

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while chunk := self._take(int(self._line(), 16)):
                body += chunk
                self._line()
            self._line()
            return body
        return self._take(int(headers.get("content-length", "0")))

    def _line(self) -> bytes:
        while b"\r\n" not in self._data:
            self._receive()
        line, _, self._data = self._data.partition(b"\r\n")
        return line

    def _take(self, size: int) -> bytes:
        while len(self._data) < size:
            self._receive()
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def _receive(self) -> None:
        assert self._sock is not None
        data = self._sock.recv(65536)
        if not data:
            raise ConnectionError("the connection ended before the response was complete")
        self._data += data

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Asking:
    """A request in a thread of its own, and what became of it."""

    def __init__(self, address: Address, path: str) -> None:
        self.outcome: Response | OSError | None = None
        self._address, self._path = address, path
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        try:
            with Connection(self._address, 60) as connection:
                self.outcome = connection.get(self._path)
        except OSError as error:
            self.outcome = error

    def wait(self) -> Response | OSError:
        """The response, or how the connection broke."""
        self._thread.join(60 * PATIENCE)
        assert self.outcome is not None
        return self.outcome


@dataclass
class Tally:
    """What clients saw: requests sent by path, responses received by (path, status), failures."""

    sent: Counter[str] = field(default_factory=Counter)
    received: Counter[tuple[str, int]] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        self.sent.update(other.sent)
        self.received.update(other.received)
        self.failed.update(other.failed)

    @property
    def responses(self) -> int:
        return sum(self.received.values())


def load(
    address: Address,
    paths: Sequence[str],
    *,
    clients: int,
    requests: int | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Tally:
    """Keep-alive clients, a thread each, sending paths in turn: `requests` in all, or until `stop()`."""
    tallies = [Tally() for _ in range(clients)]
    shares = [None if requests is None else requests // clients + (i < requests % clients) for i in range(clients)]
    threads = [
        threading.Thread(target=_one_client, args=(address, paths, tally, share, stop, number))
        for number, (tally, share) in enumerate(zip(tallies, shares, strict=True))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = Tally()
    for tally in tallies:
        total.add(tally)
    return total


class Load:
    """Clients that ask all the time, each after a pause of so many seconds, in threads, until left: without one they
    take all of the processor, of which what they are to disturb needs some.
    """

    def __init__(self, address: Address, paths: Sequence[str], clients: int, pause: float = 0.005) -> None:
        self._over = threading.Event()
        self._pause = pause
        self._thread = threading.Thread(target=self._run, args=(address, paths, clients))
        self.tally = Tally()

    def _run(self, address: Address, paths: Sequence[str], clients: int) -> None:
        self.tally = load(address, paths, clients=clients, stop=lambda: self._over.wait(self._pause))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()


def _one_client(
    address: Address, paths: Sequence[str], tally: Tally, share: int | None, stop: Callable[[], bool], seed: int
) -> None:
    order = random.Random(seed)
    encoded = {path: f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode() for path in paths}
    done = 0
    with Connection(address) as connection:
        while (share is None or done < share) and not stop():
            path = order.choice(paths)
            tally.sent[path] += 1
            done += 1
            try:
                tally.received[path, connection.exchange(encoded[path]).status] += 1
            except OSError as error:
                tally.failed[type(error).__name__] += 1
