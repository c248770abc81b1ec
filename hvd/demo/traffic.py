"""The shop's customers, and the jobs that it submits."""

import http.client
import json
import random
import threading
from collections.abc import Callable, Iterator

CUSTOMERS = 6
PAUSE = 0.08  # s, the mean between two requests of a customer
LEAVE = 0.1  # of the requests are the last of their connection
JOB_PAUSE = 4.0  # s between two jobs
TIMEOUT = 30.0  # s that a request may take

_ROUTES: dict[Callable[[], tuple[str, str]], int] = {
    lambda: ("GET", "/"): 20,
    lambda: ("GET", f"/items/{random.randrange(1000)}"): 50,
    lambda: ("GET", "/search?q=lamp"): 20,
    lambda: ("POST", "/orders"): 8,
    lambda: ("GET", "/wishlist"): 1,
    lambda: ("GET", f"/reports/{random.randrange(2020, 2027)}"): 2,
}
"""What a customer asks for, and how often in comparison."""


def visits() -> Iterator[tuple[str, str]]:
    """Methods and paths, without end."""
    while True:
        (ask,) = random.choices([*_ROUTES], [*_ROUTES.values()])
        yield ask()


def jobs() -> Iterator[dict[str, object]]:
    """Jobs to submit, without end."""
    while True:
        yield {"kind": "thumbnails", "params": {"seconds": random.randrange(2, 9)}}
        yield {"kind": "invoice", "params": {"order": random.randrange(1000)}}


Place = tuple[str, int]
"""Host and port."""


class Traffic:
    """Customers of the shop at `shop`, and jobs for the admin server where that is known by then, until `stop`."""

    def __init__(self, shop: Place, page: Callable[[], Place | None]) -> None:
        self._shop, self._page = shop, page
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._visit, daemon=True) for _ in range(CUSTOMERS)]
        self._threads.append(threading.Thread(target=self._submit, daemon=True))

    def start(self) -> None:
        """Threads of this process make it."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """No more requests; those in progress are left alone."""
        self._is_over.set()

    def _visit(self) -> None:
        connection = http.client.HTTPConnection(*self._shop, timeout=TIMEOUT)
        for method, path in visits():
            if self._is_over.wait(random.expovariate(1 / PAUSE)):
                return
            ask(connection, method, path)
            if random.random() < LEAVE:
                connection.close()  # so that each worker has customers

    def _submit(self) -> None:
        for job in jobs():
            if self._is_over.wait(JOB_PAUSE):
                return
            if page := self._page():
                connection = http.client.HTTPConnection(*page, timeout=TIMEOUT)
                ask(connection, "POST", "/jobs/submit", json.dumps(job))
                connection.close()


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: str | None = None) -> None:
    """One request, whose answer is read; where there is none the next one begins a connection of its own."""
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        connection.close()
