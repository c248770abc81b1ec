"""Floods of clients that are slow, idle, or send what nobody should; and how long honest clients wait meanwhile."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from tests.support.http import Address, Connection, connect
from tests.support.ws import PROPER

UPGRADE = b"GET /ws HTTP/1.1\r\n" + b"".join(b"%b: %b\r\n" % (n.encode(), v.encode()) for n, v in PROPER.items())
FLOODS = {
    "half heads": (2000, UPGRADE),
    "half bodies": (2000, b"POST /hello HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\nhalf"),
    "idle": (10_000, b""),
    "header bombs": (1000, b"GET /hello HTTP/1.1\r\nHost: t\r\n" + b"X-Bomb: %b\r\n" % (b"x" * 4000) * 15),
    "upgrades": (3000, UPGRADE + b"\r\n"),
    "garbage frames": (2000, UPGRADE + b"\r\n" + b"\xff" * 2000),
}
"""How many clients of each kind come at once, and what each of them sends before it falls silent."""


@contextmanager
def flood(address: Address, name: str) -> Iterator[int]:
    """They stay meanwhile -> how many could connect: who finds no room there doesn't wait for it."""
    count, data = FLOODS[name]
    with ExitStack() as stack:
        connected = 0
        for _ in range(count):
            with suppress(OSError):  # of a connection, too, that the server has already ended
                sock = stack.enter_context(connect(address, 0.3))
                connected += 1
                sock.sendall(data)
        yield connected


def percentile_99(address: Address, number: int) -> float:
    """Of how many seconds /health takes, each time over a new connection; it answers each time."""
    took = []
    for _ in range(number):
        start = time.monotonic()
        with Connection(address, timeout=5) as connection:
            assert connection.get("/health").status in (200, 503)
        took.append(time.monotonic() - start)
    return sorted(took)[int(number * 0.99)]
