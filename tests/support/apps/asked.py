"""What clients ask of the small service, and what they count: the answers by route and status."""

import random
import threading
from collections import Counter
from collections.abc import Callable

from tests.support.http import Address, Connection, connect

UNMATCHED = "(unmatched)"
ASKED = (
    *(("GET", "/items"), ("HEAD", "/items"), ("POST", "/items"), ("DELETE", "/items"), ("PUT", "/items")),
    *(("GET", part) for part in ("/cached", "/missing", "/boom", "/stream", "/file", "/class", "/sub/things")),
    *(("GET", f"{prefix}/nowhere") for prefix in ("", "/sub")),
)
"""Method and the path before its last part, which is a parameter."""
STATUSES = {200, 201, 204, 304, 404, 405, 500}

Answers = Counter[tuple[str, int]]


class Clients:
    """So many of them, each in a thread with a connection of its own, now and then with one that they leave amidst.

    `requests` in all, or until `stop()`. `parameter` is what the framework's templates have for the last part.
    """

    def __init__(
        self,
        address: Address,
        parameter: str,
        *,
        clients: int = 16,
        requests: int = 10**9,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.answers: Answers = Counter()
        self.sent: Counter[str] = Counter()
        self.failed = 0
        self._address, self._parameter, self._stop, self._share = address, parameter, stop, requests // clients
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(clients)]
        self._lock = threading.Lock()

    def start(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def join(self) -> "Clients":
        for thread in self._threads:
            thread.join()
        return self

    def _run(self, seed: int) -> None:
        order, answers, sent, failed = random.Random(seed), Answers(), Counter[str](), 0
        with Connection(self._address, 60) as connection:
            for _ in range(self._share):
                if self._stop():
                    break
                method, part = order.choice(ASKED)
                route = UNMATCHED if "nowhere" in part else f"{part}/{self._parameter}"
                path = f"{part}/{order.randrange(10**9)}"
                sent[route] += 1
                try:
                    if part == "/stream" and order.random() < 0.2:
                        answers[route, self._leave(path)] += 1
                    else:
                        answers[route, connection.request(method, path).status] += 1
                    if part == "/boom":  # Starlette raises what it has answered, whereupon servers end the connection
                        connection.close()
                except OSError:
                    failed += 1
        with self._lock:
            self.answers += answers
            self.sent += sent
            self.failed += failed

    def _leave(self, path: str) -> int:
        """Go as soon as the response begins. -> its status"""
        with connect(self._address, 60) as sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
            head = sock.recv(12)
            if len(head) < 12:
                raise ConnectionError("no response")
            return int(head[9:12])
