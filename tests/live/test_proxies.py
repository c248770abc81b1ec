"""Behind nginx, Caddy and HAProxy: both count the same, TLS, HTTP/2, a path, and what is closed to whom."""

import json
import subprocess
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from websockets.sync.client import connect as connect_websocket

from tests.support.http import Address, Connection, Load
from tests.support.jobs import JobsDaemon, together
from tests.support.proxies import NAME, PROXIES, Proxy
from tests.support.server import Server
from tests.support.waiting import until
from tests.support.ws import RawWebSocket

CLIENTS = 8
ROUNDS = 9  # of each client: all REQUESTS below

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

STATUSES_SEEN = {"101", "200", "204", "304", "400", "403", "404", "405", "414", "426", "431", "500"}


def counted_by(server: Server) -> Counter[tuple[str, str]]:
    """hvd's count of responses, by (method, status); read at the admin address, which counts nothing there."""
    found: Counter[tuple[str, str]] = Counter()
    for (name, labels), value in server.admin_metrics().items():
        if name == "hvd_http_requests_total":
            found[dict(labels)["method"], dict(labels)["status"]] += int(value)
    return found


def by_status(counts: Counter[tuple[str, str]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for (_, status), count in counts.items():
        found[status] += count
    return found


def one_client(address: Address, number: int) -> Counter[tuple[str, str]]:
    """All requests, again and again, each client beginning at another one; a WebSocket each round -> what it saw."""
    seen: Counter[tuple[str, str]] = Counter()
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


OWN = {"nginx": "", "caddy": "", "haproxy": "400"}
"""The status of what a proxy itself refuses of these requests: more headers than it takes, which are also too many for
gunicorn (431)."""


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_and_hvd_count_the_same(tmp_path: Path, name: str) -> None:
    """Several thousand requests of all kinds: for each status, what the proxy got is what hvd counts. Then both are
    reloaded under load, again and again: no request is lost by hvd, and they still agree.
    """
    with (
        Server(tmp_path, bind=f"unix:{tmp_path}/http.sock", workers=2, threads=4, interval=0.2) as server,
        PROXIES[name](tmp_path, server.address, server.admin_address) as proxy,
    ):
        before = counted_by(server)

        def agree() -> bool:
            return by_status(counted_by(server) - before) == by_status(proxy.upstream_responses())

        total = sum(together([partial(one_client, proxy.address, number) for number in range(CLIENTS)]), Counter())
        assert total.total() == CLIENTS * ROUNDS * (len(REQUESTS) + 1)
        until(agree, "both count the same", 10, 0.2)
        got = proxy.upstream_responses()
        assert not got - total, "it asked once for each request"
        own = {status for _, status in total - got}
        assert own == {*filter(None, [OWN[name]])}
        assert STATUSES_SEEN - set(by_status(got)) == ({"431"} if own else set()), "the statuses that this is about"
        counted = counted_by(server) - before
        known = {key: count for key, count in got.items() if key[1] not in ("414", "431", "400") and key[0] != "PURGE"}
        assert {key: counted[key] for key in known} == known, "by method too"
        assert counted["GET", "101"] == CLIENTS * ROUNDS / 3
        until(lambda: server.snapshot()["requests"]["in_flight"] == 1, "only this very request is left")
        until(lambda: server.snapshot()["websocket_clients"] == 0, "the WebSockets are closed")
        assert "[error]" not in proxy.log

        before, earlier = counted_by(server), proxy.upstream_responses()
        with Load(proxy.address, ["/hello", "/items/7", "/no/such/path"], clients=8) as load:
            for _ in range(2):
                if not proxy.ends_requests:
                    proxy.reload()
                server.reload()
        # a client's connection that was idle when the proxy closed it has failed; no request has
        assert {status for _, status in load.tally.received} == {200, 404}
        until(lambda: counted_by(server) - before == proxy.upstream_responses() - earlier, "they still do", 10, 0.2)
        assert load.tally.failed.total() <= 50
        assert load.tally.responses > 100
        assert "[error]" not in proxy.log


OUTSIDE = ("--interface", "127.0.0.2")
INSIDE = ("/metrics", "/api/v1/snapshot", "/healthz", "/jobs/kinds")
OPEN = ("/", "/health", "/status", "/jobs")
CLOSED = (
    *(
        "/metrics",
        "/metrics?x",
        "/metrics/",
        "/%6detrics",
        "/./metrics",
        "//metrics",
        "/%2fmetrics",
        "/x/%2e%2e/metrics",
    ),
    *("/api/v1/snapshot", "/api/v1/%73napshot", "/healthz"),
)
DISGUISED = (
    "/jobs/submit",
    "/%6aobs/submit",
    "/x/../jobs/submit",
    "//jobs/submit",
    "/%2fjobs/submit",
    "/jobs%2fsubmit",
)


def curl(proxy: Proxy, paths: Sequence[str], *arguments: str) -> list[tuple[str, int]]:
    """Each path by HTTP/2, if the proxy has it -> the version that was spoken, and the status.

    Bodies that are refused go by `--http1.1`: Caddy ends such streams early, and curl 7.88 the connection with them.
    """
    program = ["curl", "-s", "--path-as-is", "--http2", "--cacert", f"{proxy.folder}/certificate.pem", "-m", "30"]
    targets = [part for path in paths for part in ("-o", "/dev/null", f"{proxy.url}{path}")]
    command = [*program, "-w", "%{http_version} %{http_code}\\n", *arguments, *targets]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done
    return [(version, int(status)) for version, status in map(str.split, done.stdout.splitlines())]


@pytest.mark.parametrize("name", PROXIES)
def test_tls_http2_a_path_and_what_is_closed(tmp_path: Path, name: str) -> None:
    """At once: WebSocket over TLS, the time in the queue, health from the admin server, and paths in disguise."""
    with (
        JobsDaemon(tmp_path, {"plain": {"command": ["true"]}}, allowed_origins=f"https://{NAME}") as server,
        PROXIES[name](tmp_path, server.address, server.admin_address, tls=True, prefixed=True) as proxy,
    ):
        with connect_websocket(proxy.url.replace("https", "wss") + "/ws", ssl=proxy.trust) as client:
            assert json.loads(client.recv(timeout=30))["type"] in ("metrics", "status")
        assert curl(proxy, INSIDE) == [("2", 200)] * len(INSIDE)
        assert curl(proxy, OPEN, "-H", "X-Request-Start: t=1", *OUTSIDE) == [("2", 200)] * len(OPEN)
        assert {status for _, status in curl(proxy, CLOSED, *OUTSIDE)} <= {403, 404}
        submit = ("-H", "Content-Type: application/json", "-d", '{"kind": "plain", "params": {}}')
        assert {status for _, status in curl(proxy, DISGUISED, "--http1.1", *submit, *OUTSIDE)} <= {403, 404}
        assert curl(proxy, ["/jobs/1"], "-X", "DELETE", *OUTSIDE) == [("2", 403)]
        assert curl(proxy, ["/jobs/submit"], *submit) == [("2", 202)]
        named = ("-H", f"Host: {NAME}", "-H", f"Origin: https://{NAME}")
        assert curl(proxy, INSIDE, *named) == [("2", 200)] * len(INSIDE)
        assert curl(proxy, ["/jobs/submit"], *submit, *named) == [("2", 202)]
        metrics = server.admin_metrics()
        assert metrics["hvd_http_queue_duration_seconds_count", frozenset()] >= len(OPEN)
        assert metrics["hvd_http_queue_duration_seconds_sum", frozenset()] < 60, "as the proxy says, not its client"
        asked = {
            dict(labels)["route"] for name, labels in metrics if name == "hvd_admin_request_duration_seconds_count"
        }
        assert asked == {"/health"}, "nothing else is passed on to the admin server"
