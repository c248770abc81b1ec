"""The daemon's WebSocket: the rhythm, clients that end in every way, thousands of them at once."""

import base64
import itertools
import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import pytest

from tests.support.http import Address, Response, connect
from tests.support.nginx import Nginx
from tests.support.server import Server
from tests.support.waiting import PATIENCE, until
from tests.support.ws import RawWebSocket

INTERVAL = 0.2  # s
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10

RAW_FIELDS = {
    **dict.fromkeys(["http_requests", "http_errors", "active_connections", "websocket_clients"], int),
    **dict.fromkeys(["memory_usage", "goroutines", "threads", "tasks", "queue_length"], int),
    **dict.fromkeys(["jobs_active", "jobs_pending", "jobs_completed", "jobs_failed", "jobs_cancelled"], int),
    **dict.fromkeys(["avg_response_time", "cpu_usage", "uptime_seconds", "observed_age_seconds"], float),
    **dict.fromkeys(["requests_per_second", "error_rate", "p50", "p90", "p99"], float),
    **dict.fromkeys(["requests_per_second_since_start", "error_rate_since_start"], float),
    **dict.fromkeys(["p50_since_start", "p90_since_start", "p99_since_start"], float),
    "recent_jobs": list,
    "provider_stats": dict,
    "alerts": list,
    "requests": dict,
    "system_health": str,
    "timestamp": str,
}


class Witness:
    """A well-behaved client on a thread: answers pings, and notes when messages come and how it ends."""

    def __init__(self, address: Address) -> None:
        self.client = RawWebSocket(address)
        assert self.client.status == 101
        self.times = [time.monotonic()]
        self.end: bytes | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            while True:
                opcode, payload = self.client.frame()
                if opcode == TEXT:
                    self.times.append(time.monotonic())
                elif opcode == PING:
                    self.client.send(PONG, payload)
                elif opcode == CLOSE:
                    self.end = payload
        except OSError:
            return

    @property
    def worst_gap(self) -> float:
        """Seconds between two messages, or since the last one."""
        times = [*self.times, time.monotonic()]
        return max(later - earlier for earlier, later in itertools.pairwise(times))

    def __enter__(self) -> "Witness":
        return self

    def __exit__(self, *exc: object) -> None:
        self.client.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self.client.close()


def clients(server: Server) -> int:
    """How many there are, as the aggregator published last."""
    return int(server.snapshot()["websocket_clients"])


def total(server: Server, name: str, **labels: str) -> int:
    """A counter's sample."""
    return int(server.metrics().get((name, frozenset(labels.items())), 0))


def ended(server: Server, reason: str) -> int:
    """Clients that ended for this reason so far."""
    return total(server, "hvd_websocket_disconnections_total", reason=reason)


# ---- the messages


@pytest.mark.parametrize(
    ("worker_class", "on_unix_socket", "through_nginx"),
    [("sync", False, True), ("sync", True, False), ("gthread", False, False), ("gthread", True, True)],
)
def test_messages_come_at_once_and_then_in_rhythm(
    tmp_path: Path, worker_class: str, on_unix_socket: bool, through_nginx: bool
) -> None:
    """The first before the next tick is due, the k-th at start + k intervals: lateness doesn't add up."""
    bind = f"unix:{tmp_path}/http.sock" if on_unix_socket else "127.0.0.1:0"
    threads = {} if worker_class == "sync" else {"threads": 2}
    with (
        Server(tmp_path, bind=bind, worker_class=worker_class, workers=2, interval=INTERVAL, **threads) as server,
        front(tmp_path, server, through_nginx) as address,
    ):
        assert server.get("/health").status == 200, "on the same port"
        # one run may be spoilt by a machine that is busy; what is wrong with the daemon would spoil them all
        assert any(first_message_after(address) < INTERVAL * 0.7 for _ in range(5))
        with RawWebSocket(address) as client:
            assert any(is_in_rhythm(client) for _ in range(5))
    assert not server.alarms


@contextmanager
def front(folder: Path, server: Server, through_nginx: bool) -> Iterator[Address]:
    """Where clients connect: nginx, or the daemon itself."""
    with Nginx(folder, server.address) if through_nginx else nullcontext() as nginx:
        yield nginx.address if nginx else server.address


def first_message_after(address: Address) -> float:
    """Seconds from the handshake to the first message: the longest of three, as a tick may be due just then."""
    found = []
    for _ in range(3):
        with RawWebSocket(address) as client:
            start = time.monotonic()
            client.message()
            found.append(time.monotonic() - start)
    return max(found)


def is_in_rhythm(client: RawWebSocket, count: int = 14) -> bool:
    """True if `count` messages came an interval apart, with no more delay at the end than in the beginning.

    Some may be late, as the machine is busy with other things, and one may be left out.
    """
    client.message()  # the one that waits, or the greeting
    times = []
    for _ in range(count):
        client.message()
        times.append(time.monotonic())
    numbers = [round((at - times[0]) / INTERVAL) for at in times]
    late = [at - times[0] - number * INTERVAL for at, number in zip(times, numbers, strict=True)]
    drift = median(late[count // 2 :]) - median(late[: count // 2])
    in_time = sum(abs(each) < INTERVAL / 5 for each in late)
    return numbers[-1] <= count and in_time >= count - 3 and abs(drift) < 0.02


# ---- one daemon for clients of all kinds


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Pings every half second, answered within another, at most 12 clients."""
    with Server(
        tmp_path_factory.mktemp("websocket"),
        workers=2,
        threads=2,
        interval=INTERVAL,
        max_clients=12,
        ping_interval=0.5,
        ping_timeout=0.5,
    ) as server:
        yield server
    assert [line for line in server.alarms if "Invalid" not in line] == []


@pytest.fixture
def witness(server: Server) -> Iterator[Witness]:
    """The other client, which nothing may delay; afterwards nobody is left."""
    until(lambda: clients(server) == 0, "no client is there before the test")
    with Witness(server.address) as witness:
        yield witness
        until(lambda: clients(server) == 1, "only the witness is there")
        assert witness.worst_gap < INTERVAL + 1 * PATIENCE
        assert witness.end is None
    until(lambda: clients(server) == 0, "no client is left")
    assert total(server, "hvd_http_requests_total", method="GET", route="/ws", status="101") == total(
        server, "hvd_websocket_connections_total"
    )


def test_a_message_has_every_field(server: Server, witness: Witness) -> None:
    """{"type": "metrics", "timestamp": …, "data": {"raw": {…}}}, with figures of the real processes."""
    server.get("/hello")
    with RawWebSocket(server.address) as client:
        client.message()
        message = until(lambda: is_of(client, clients=2), "a message that counts both clients")
    assert set(message) == {"type", "timestamp", "data"}
    assert message["type"] == "metrics"
    assert set(message["data"]) == {"raw"}
    raw = message["data"]["raw"]
    assert message["timestamp"] == raw["timestamp"]
    assert abs(datetime.fromisoformat(raw["timestamp"]).timestamp() - time.time()) < 5 * PATIENCE
    assert raw["timestamp"].endswith("Z")
    for name, kind in RAW_FIELDS.items():
        assert isinstance(raw[name], (int, float) if kind is float else kind), name
    assert raw["active_connections"] == 2
    assert raw["http_requests"] >= 1
    assert raw["goroutines"] == raw["threads"] + raw["tasks"]
    assert raw["memory_usage"] > 10 * 1024 * 1024
    assert raw["system_health"] == "healthy"


def is_of(client: RawWebSocket, clients: int) -> dict[str, Any] | None:
    message = client.message()
    return message if message["data"]["raw"]["websocket_clients"] == clients else None


def close_code(client: RawWebSocket) -> int | None:
    """The code of the close frame, once the server has also ended the connection; None if it ended without one."""
    code, deadline = None, time.monotonic() + 10 * PATIENCE
    try:
        while time.monotonic() < deadline:
            opcode, payload = client.frame()
            if opcode == CLOSE:
                code = int.from_bytes(payload[:2], "big")
    except ConnectionError:
        return code
    raise AssertionError("the server did not end the connection")


def test_a_client_that_closes_gets_its_close_back(server: Server, witness: Witness) -> None:
    """RFC 6455 §5.5.1."""
    before = ended(server, "client")
    with RawWebSocket(server.address) as client:
        client.message()
        client.send(CLOSE, struct.pack(">H", 1000))
        assert close_code(client) == 1000
    until(lambda: clients(server) == 1, "it isn't counted any more")
    assert ended(server, "client") == before + 1


@pytest.mark.parametrize("how", ["close", "abandon"])
def test_a_client_that_is_suddenly_gone_is_not_counted(server: Server, witness: Witness, how: str) -> None:
    """The connection ends, or is reset, without a word."""
    gone = [RawWebSocket(server.address) for _ in range(5)]
    until(lambda: clients(server) == 6, "all are counted")
    for client in gone:
        getattr(client, how)()
    until(lambda: clients(server) == 1, "none is counted any more", 2)


def test_a_half_open_client_is_found_by_pings(server: Server, witness: Witness) -> None:
    """It reads, and answers nothing: closed with 1008 after an interval and a timeout."""
    before, start = ended(server, "ping_timeout"), time.monotonic()
    with RawWebSocket(server.address) as client:
        assert close_code(client) == 1008
        assert 0.5 < time.monotonic() - start < 3 * PATIENCE
    assert ended(server, "ping_timeout") == before + 1


def test_a_client_that_reads_nothing_is_found_by_pings(server: Server, witness: Witness) -> None:
    """Nobody is there any more, but the connection stands."""
    stopped = [RawWebSocket(server.address) for _ in range(3)]
    until(lambda: clients(server) == 4, "all are counted")
    until(lambda: clients(server) == 1, "they are given up", 5)
    for client in stopped:
        client.close()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"\x81\xfe\x20\x00abcd" + b"x" * 0x2000, 1009, id="8 KiB in a message"),
        pytest.param(b"\x81\xff" + b"\x7f" + b"\xff" * 7 + b"abcd", 1008, id="an endless frame that stops"),
        pytest.param(b"\x01\xfe\x10\x00abcd" + b"x" * 0x1000 + b"\x80\x81abcdx", 1009, id="too long in two parts"),
        pytest.param(b"\x81\x05hello", 1002, id="not masked"),
        pytest.param(b"\xff\xff\xff\xff\xff\xff", 1002, id="reserved bits"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n", 1002, id="HTTP"),
        pytest.param(b"\x81\x82\0\0\0\0\xc3\x28", 1007, id="not UTF-8"),
    ],
)
def test_a_client_that_breaks_the_rules_is_closed(server: Server, witness: Witness, data: bytes, code: int) -> None:
    """With the code that RFC 6455 §7.4.1 has for it."""
    with RawWebSocket(server.address) as client:
        client.sock.sendall(data)
        assert close_code(client) == code


def test_a_client_that_stops_reading_loses_frames_then_its_connection(tmp_path: Path) -> None:
    """It lives, as its pongs say, but takes nothing: its buffers fill, and the other client waits for nothing."""
    settings = {"bind": f"unix:{tmp_path}/http.sock", "interval": 0.1, "ping_interval": 1, "ping_timeout": 1}
    with Server(tmp_path, workers=1, **settings) as server, Witness(server.address) as witness:
        with RawWebSocket(server.address) as stopped:

            def is_given_up() -> bool:
                with suppress(BrokenPipeError):
                    stopped.send(PONG, b"")
                return ended(server, "too_slow") == 1

            until(is_given_up, "it is given up", 30, pause=0.2)
            assert total(server, "hvd_websocket_frames_dropped_total") == 5
            assert ended(server, "ping_timeout") == 0
        until(lambda: clients(server) == 1, "only the witness is there")
        assert witness.worst_gap < 0.1 + 1 * PATIENCE
    assert not server.alarms


def test_a_client_that_floods_delays_nobody(server: Server, witness: Witness) -> None:
    """Small frames as fast as they go, for two seconds."""
    with RawWebSocket(server.address, timeout=0.2) as client:
        mask, end = b"\x8a\x80abcd" * 2000, time.monotonic() + 2
        while time.monotonic() < end:
            try:
                client.sock.sendall(mask)
            except TimeoutError:
                continue
            except OSError:
                break


# ---- handshakes

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
PROPER = {
    "Host": "test",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def handshake(server: Server, method: str = "GET", body: bytes = b"", **changes: str | None) -> Response:
    """The answer to a proper handshake with these headers changed, or left out where None."""
    headers = {**PROPER, **{name.replace("_", "-"): value for name, value in changes.items()}}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    with server.connection() as connection:
        return connection.exchange("\r\n".join([f"{method} /ws HTTP/1.1", *lines, "", ""]).encode() + body)


REFUSED: list[tuple[int, dict[str, Any]]] = [
    (426, dict.fromkeys([name for name in PROPER if name != "Host"])),
    (426, {"Upgrade": None}),
    (426, {"Upgrade": "h2c"}),
    (426, {"Connection": "keep-alive"}),
    (426, {"Sec_WebSocket_Version": "8"}),
    (426, {"Sec_WebSocket_Version": None}),
    (400, {"Sec_WebSocket_Key": None}),
    (400, {"Sec_WebSocket_Key": "short"}),
    (400, {"Sec_WebSocket_Key": "\xff" * 24}),
    (400, {"Sec_WebSocket_Key": "A" * 8000}),
    (400, {"Content_Length": "3", "body": b"abc"}),
    (403, {"Origin": "http://elsewhere.example"}),
    (403, {"Origin": "null"}),
    (403, {"Origin": "http://test.elsewhere.example"}),
    (405, {"method": "POST"}),
    (405, {"method": "PUT", "Content_Length": "3", "body": b"abc"}),
]


@pytest.mark.parametrize(("status", "changes"), REFUSED, ids=[f"{n}-{status}" for n, (status, _) in enumerate(REFUSED)])
def test_what_is_no_handshake_is_refused(server: Server, status: int, changes: dict[str, Any]) -> None:
    """A problem (RFC 9457), counted, and no client."""
    connected = total(server, "hvd_websocket_connections_total")
    before = server.counted().get(("/ws", status), 0)
    response = handshake(server, **changes)
    assert response.status == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status
    assert server.counted()["/ws", status] == before + 1
    assert total(server, "hvd_websocket_connections_total") == connected
    if status == 426 and "Sec_WebSocket_Version" in changes:
        assert response.headers["sec-websocket-version"] == "13"


def test_garbage_instead_of_a_request_is_refused(server: Server, witness: Witness) -> None:
    """Each by itself on a new connection; the daemon goes on."""
    hello_of_tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"
    for garbage in (hello_of_tls, b"GET /ws\r\n\r\n", bytes(range(128, 192)) + b"\r\n\r\n"):
        with server.connection() as connection:
            response = connection.exchange(garbage)
            assert (response.status, response.json()["status"]) == (400, 400)
    with connect(server.address) as silent:
        silent.sendall(b"GET /ws HTTP/1.1\r\nHost: te")
        assert server.get("/health").status == 200


@pytest.mark.parametrize(
    "changes",
    [{"Origin": "http://test"}, {"Connection": "keep-alive, UPGRADE"}, {"Upgrade": "WebSocket"}, {"Origin": None}],
    ids=str,
)
def test_proper_handshakes_are_accepted(server: Server, witness: Witness, changes: dict[str, str | None]) -> None:
    """The answer is of RFC 6455 §1.3."""
    response = handshake(server, **changes)
    assert response.status == 101
    assert response.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_only_allowed_origins_may_connect(tmp_path: Path) -> None:
    """With a list, those on it and nobody else who names one."""
    with Server(tmp_path, workers=1, allowed_origins="https://one.example,https://two.example:8443") as server:
        for origin, status in {
            "https://one.example": 101,
            "https://two.example:8443": 101,
            "https://two.example": 403,
            "http://one.example": 403,
            "http://test": 403,
        }.items():
            assert handshake(server, Origin=origin).status == status, origin
        assert handshake(server).status == 101, "no browser"


def test_clients_beyond_the_limit_are_refused_clearly(server: Server, witness: Witness) -> None:
    """503 with Retry-After, counted as a response and as a refusal; there is room again once one has left."""
    before = server.counted().get(("/ws", 503), 0)
    refused = total(server, "hvd_websocket_handoffs_refused_total", reason="503")
    errors = server.snapshot()["http_errors"]
    others = [Witness(server.address) for _ in range(11)]
    try:
        response = handshake(server)
        assert response.status == 503
        assert int(response.headers["retry-after"]) > 0
        assert server.counted()["/ws", 503] == before + 1
        assert total(server, "hvd_websocket_handoffs_refused_total", reason="503") == refused + 1
        assert server.snapshot()["http_errors"] == errors + 1
    finally:
        for other in others:
            other.__exit__()
    until(lambda: clients(server) == 1, "they have left")
    assert handshake(server).status == 101


# ---- what it costs


@pytest.mark.parametrize("worker_class", ["sync", "gthread"])
def test_clients_that_come_and_go_leave_no_descriptor(tmp_path: Path, worker_class: str) -> None:
    """50 rounds: once no connection is left, workers and aggregator have no more open files than before."""
    with Server(tmp_path, worker_class=worker_class, workers=2, interval=INTERVAL, keepalive=1) as server:
        for number in range(10):  # what is opened once is open now
            one_round(server, number)
        before = until(lambda: descriptors_at_rest(server), "no connection is there")
        for number in range(50):
            one_round(server, number)
        until(lambda: clients(server) == 0, "nobody is left")
        until(lambda: descriptors_at_rest(server), "no connection is left")
        # the aggregator has a file of /proc open now and then
        until(lambda: is_within(descriptors_at_rest(server), before), f"descriptors are {before} again", 10)
        assert total(server, "hvd_http_requests_total", method="GET", route="/ws", status="101") == 60
    assert not server.alarms


def descriptors_at_rest(server: Server) -> dict[int, int]:
    """Open files by pid of worker and aggregator; none while any of them has a client's connection."""
    processes = [psutil.Process(pid) for pid in (*server.pids("worker"), *server.pids("aggregator"))]
    if any(one.status != "LISTEN" for process in processes for one in process.net_connections("tcp")):
        return {}
    return {process.pid: process.num_fds() for process in processes}


def is_within(now: dict[int, int], before: dict[int, int]) -> bool:
    return now.keys() == before.keys() and all(now[pid] <= before[pid] for pid in now)


def one_round(server: Server, number: int) -> None:
    """Connect, get a message, and leave in one of four ways; beside it a handshake that is refused."""
    with RawWebSocket(server.address) as client:
        client.message()
        if number % 4 == 0:
            client.send(CLOSE, struct.pack(">H", 1001))
            assert close_code(client) == 1001
        elif number % 4 == 1:
            client.sock.sendall(b"garbage")
            assert close_code(client) == 1002
        elif number % 4 == 2:
            client.abandon()
    assert handshake(server, Sec_WebSocket_Key=None).status == 400


class Crowd:
    """Thousands of clients on one thread: each reads, and counts the text frames that it got."""

    def __init__(self, address: Address, count: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._data: dict[socket.socket, bytes] = {}
        self.messages: dict[socket.socket, int] = {}
        self.failures: list[str] = []
        for _ in range(count):
            sock = connect(address)
            lines = {**PROPER, "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode()}
            request = "GET /ws HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
            sock.sendall(request.encode() + b"\r\n")
            sock.setblocking(False)
            self._data[sock], self.messages[sock] = b"", -1  # -1: no answer yet
            self._selector.register(sock, selectors.EVENT_READ)

    def read(self, seconds: float) -> None:
        """Take what comes within this time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                assert isinstance(key.fileobj, socket.socket)
                self._take(key.fileobj)

    def _take(self, sock: socket.socket) -> None:
        try:
            received = sock.recv(65536)
        except OSError as error:
            received, self.failures = b"", [*self.failures, repr(error)]
        if not received:
            self.failures.append("ended")
            self._selector.unregister(sock)
        data = self._data[sock] + received
        if self.messages[sock] < 0:
            head, found, rest = data.partition(b"\r\n\r\n")
            if found and head.startswith(b"HTTP/1.1 101 "):
                data, self.messages[sock] = rest, 0
            elif found:
                self.failures.append(head[:40].decode("latin-1"))
        while self.messages[sock] >= 0 and data[:1] == b"\x81" and len(data) >= 4:
            size = 2 + data[1] if data[1] < 126 else 4 + int.from_bytes(data[2:4], "big")
            if len(data) < size:
                break
            data, self.messages[sock] = data[size:], self.messages[sock] + 1
        self._data[sock] = data

    def has_each(self, least: int) -> bool:
        """True if every one has got so many messages; reads a while."""
        self.read(0.2)
        return min(self.messages.values()) >= least or bool(self.failures)

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *exc: object) -> None:
        self._selector.close()
        for sock in self.messages:
            sock.close()


def test_two_thousand_clients_cost_no_worker_thread(tmp_path: Path) -> None:
    """They come in a burst: all get messages, the others wait for nothing, and the count ends at 0."""
    with Server(tmp_path, workers=2, threads=2, interval=1) as server, Witness(server.address) as witness:
        with Crowd(server.address, 2000) as crowd:
            until(lambda: crowd.has_each(1), "each client has a message", 20)
            assert not crowd.failures
            until(lambda: clients(server) == 2001, "all are counted")
            seen = max(crowd.messages.values())
            until(lambda: crowd.has_each(seen + 2), "each client gets two more", 10)
            assert not crowd.failures
            until(lambda: served_by(server) == ["/api/v1/snapshot"], "no thread serves anything but this very request")
            assert any(four_run_at_once(server) for _ in range(8)), "every worker thread is free"
            crowd.read(0.1)
            assert not crowd.failures
        until(lambda: clients(server) == 1, "only the witness is left")
        assert witness.worst_gap < 1 + 1 * PATIENCE
        assert server.counted()["/ws", 101] == 2001
    assert not server.alarms


def test_the_count_of_clients_ends_at_zero(tmp_path: Path) -> None:
    """After 300 of them, of which a third resets the connection."""
    with Server(tmp_path, worker_class="sync", workers=2, interval=INTERVAL) as server:
        for _ in range(2):
            crowd = [RawWebSocket(server.address) for _ in range(150)]
            until(lambda: clients(server) == 150, "all are counted")
            for number, client in enumerate(crowd):
                (client.close, client.abandon, client.close)[number % 3]()
            until(lambda: clients(server) == 0, "none is left")
        connections = total(server, "hvd_websocket_connections_total")
        assert connections == 300 == sum(ended(server, reason) for reason in ("client", "error"))


def served_by(server: Server) -> list[str]:
    """What the workers' threads are busy with."""
    return [each["path"] for worker in server.snapshot()["workers"] for each in worker["busy"]]


def four_run_at_once(server: Server) -> bool:
    """Whether four requests of half a second took less than one together. A worker may have got three of them."""
    start = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: server.get("/slow?s=0.5").status, range(4))) == [200] * 4
    return time.monotonic() - start < 0.95
