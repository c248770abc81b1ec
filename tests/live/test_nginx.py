"""Behind nginx: what nginx got from the daemon is what the daemon counts."""

from collections import Counter
from functools import partial
from pathlib import Path

from tests.support.http import Address, Connection
from tests.support.jobs import together
from tests.support.nginx import Nginx
from tests.support.server import Server
from tests.support.waiting import until
from tests.support.ws import RawWebSocket

CLIENTS = 8
ROUNDS = 24  # of each client: all REQUESTS below

STATUSES = (200, 201, 202, 204, 206, 301, 303, 304, 307, 400, 401, 403, 404, 409, 410, 418, 422, 429, 451, 500, 503)
REQUESTS: list[tuple[str, str, dict[str, str], bytes]] = [
    *(("GET", f"/status-of/{status}", {}, b"") for status in STATUSES),
    ("GET", "/boom", {}, b""),
    ("GET", "/hello", {}, b""),
    ("HEAD", "/", {}, b""),
    ("HEAD", "/no/such/path", {}, b""),
    ("HEAD", "/hello", {}, b""),
    ("POST", "/hello", {}, b"x" * 20_000),
    ("POST", "/health", {}, b"{}"),
    ("PUT", "/hello", {}, b"1"),
    ("DELETE", "/items/7", {}, b""),
    ("PURGE", "/hello", {}, b""),
    ("GET", "/no/such/path", {}, b""),
    ("GET", "/%ff%01/%2e%2f/~?q=%zz", {}, b""),
    ("GET", "/hello?" + "q" * 3000, {}, b""),
    ("GET", "/stream?n=3", {}, b""),
    # nginx passes all of these on; the last two are more than gunicorn takes, so hvd's app never sees them
    ("GET", "/hello", {"X-Big": "x" * 6000}, b""),
    ("GET", "/hello", {"X-Big": "x" * 8180}, b""),
    ("GET", "/hello", {f"X-{number}": "x" * 200 for number in range(40)}, b""),
    ("GET", "/hello", {f"X-{number}": "x" for number in range(120)}, b""),
    ("GET", "/hello?" + "q" * 5000, {}, b""),
]


def by_method_and_status(server: Server) -> Counter[tuple[str, ...]]:
    """hvd's count of responses."""
    return server.samples("hvd_http_requests_total", "method", "status")


def by_status(counts: Counter[tuple[str, ...]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for (_, status), count in counts.items():
        found[status] += count
    return found


def one_client(address: Address, number: int) -> Counter[tuple[str, ...]]:
    """All requests, again and again, each client beginning at another one; a WebSocket each round -> what it saw."""
    seen: Counter[tuple[str, ...]] = Counter()
    with Connection(address) as connection:
        for round_ in range(ROUNDS):
            for method, path, headers, body in REQUESTS[number * 5 :] + REQUESTS[: number * 5]:
                seen[method, str(connection.request(method, path, headers, body).status)] += 1
            headers = ({}, {"Origin": "http://elsewhere.example"}, {"Sec_WebSocket_Version": "8"})[round_ % 3]
            with RawWebSocket(address, **headers) as client:
                seen["GET", str(client.status)] += 1
                if client.status == 101:
                    assert client.message()["type"] == "metrics"
    return seen


def test_nginx_and_hvd_count_the_same(tmp_path: Path) -> None:
    """Several thousand requests of all kinds: for each status, what nginx got is what hvd counts, and clients saw."""
    with Server(tmp_path, workers=2, threads=4, interval=0.2) as server, Nginx(tmp_path, server.address) as nginx:
        before = by_method_and_status(server)
        total = sum(together([partial(one_client, nginx.address, number) for number in range(CLIENTS)]), Counter())
        assert total.total() == CLIENTS * ROUNDS * (len(REQUESTS) + 1)
        until(lambda: nginx.upstream_responses().total() >= total.total(), "nginx has logged every request", 5)
        got = nginx.upstream_responses()
        counted = by_method_and_status(server) - before
        counted["GET", "200"] -= 1  # our first reading, which was counted after it was made
        assert got == total, "nginx asked once for each request"
        assert by_status(counted) == by_status(got)
        assert {"101", "200", "204", "304", "400", "403", "404", "405", "414", "426", "431", "500"} <= set(
            by_status(got)
        ), "the statuses that this is about"
        known = {key: count for key, count in got.items() if key[1] not in ("414", "431", "400") and key[0] != "PURGE"}
        assert {key: counted[key] for key in known} == known, "by method too"
        assert counted["GET", "101"] == CLIENTS * ROUNDS / 3
        until(lambda: server.snapshot()["requests"]["in_flight"] == 1, "only this very request is left")
        until(lambda: server.snapshot()["websocket_clients"] == 0, "the WebSockets are closed")
        assert "[error]" not in nginx.log
