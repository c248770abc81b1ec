"""The daemon's WebSocket: the rhythm, what a message has, clients that end in every way."""

import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.support.http import Address
from tests.support.proxies import Nginx
from tests.support.server import Server
from tests.support.waiting import PATIENCE, until
from tests.support.websocket import (
    CLOSE,
    INTERVAL,
    PONG,
    Witness,
    clients,
    close_code,
    ended,
)
from tests.support.ws import RawWebSocket

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
        until(lambda: first_message_after(address) < INTERVAL * 0.7, "the first message comes at once", 30)
        until(lambda: is_in_rhythm(address), "the others come in rhythm", 30)
        with RawWebSocket(address, early=b"\x89\x85\0\0\0\0early") as client:
            assert next(payload for opcode, payload in iter(client.frame, None) if opcode == PONG) == b"early"
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


def is_in_rhythm(address: Address, count: int = 14) -> bool:
    """True if `count` messages came an interval apart, with no more delay at the end than in the beginning.

    Some may be late, as the machine is busy with other things, and one may be left out.
    """
    times = []
    with RawWebSocket(address) as client:
        client.message()  # the greeting
        for _ in range(count):
            client.message()
            times.append(time.monotonic())
    numbers = [round((at - times[0]) / INTERVAL) for at in times]
    late = [at - times[0] - number * INTERVAL for at, number in zip(times, numbers, strict=True)]
    drift = median(late[count // 2 :]) - median(late[: count // 2])
    in_time = sum(abs(each) < INTERVAL / 5 for each in late)
    return numbers[-1] <= count and in_time >= count - 3 and abs(drift) < 0.02


# ---- one daemon for clients of all kinds: conftest.py has it


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


def test_a_client_that_closes_gets_its_close_back(server: Server, witness: Witness) -> None:
    """RFC 6455 §5.5.1."""
    before = ended(server, "client")
    with RawWebSocket(server.address) as client:
        client.message()
        client.send(CLOSE, struct.pack(">H", 1000))
        assert close_code(client) == 1000
    until(lambda: clients(server) == 1, "it isn't counted any more")
    until(lambda: ended(server, "client") == before + 1, "it is counted as ended")


@pytest.mark.parametrize("how", ["close", "abandon"])
def test_a_client_that_is_suddenly_gone_is_not_counted(server: Server, witness: Witness, how: str) -> None:
    """The connection ends, or is reset, without a word."""
    with ExitStack() as stack:
        gone = [stack.enter_context(RawWebSocket(server.address)) for _ in range(5)]
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
    until(lambda: ended(server, "ping_timeout") == before + 1, "it is counted as ended")


def test_a_client_that_reads_nothing_is_found_by_pings(server: Server, witness: Witness) -> None:
    """Nobody is there any more, but the connection stands."""
    before = server.sample("hvd_websocket_connections_total"), ended(server, "ping_timeout")
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(RawWebSocket(server.address))
        until(lambda: server.sample("hvd_websocket_connections_total") == before[0] + 3, "all have come")
        until(lambda: ended(server, "ping_timeout") == before[1] + 3, "they are given up", 5)
        until(lambda: clients(server) == 1, "and not counted any more")


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
    settings = {"bind": f"unix:{tmp_path}/http.sock", "interval": 0.1, "ping_interval": 1, "ping_timeout": 10}
    with Server(tmp_path, workers=1, **settings) as server, Witness(server.address) as witness:
        with RawWebSocket(server.address) as stopped:

            def is_given_up() -> bool:
                with suppress(BrokenPipeError):
                    stopped.send(PONG, b"")
                return ended(server, "too_slow") == 1

            until(is_given_up, "it is given up", 30, pause=0.2)
            assert server.sample("hvd_websocket_frames_dropped_total") == 5
            assert ended(server, "ping_timeout") == 0
        until(lambda: clients(server) == 1, "only the witness is there")
        assert witness.worst_gap < 0.1 + 1 * PATIENCE
    assert not server.alarms


def test_a_client_that_floods_delays_nobody(server: Server, witness: Witness) -> None:
    """Small frames as fast as they go. What isn't read can't answer pings: that is the flood's end, and called so."""
    before = ended(server, "flood"), ended(server, "ping_timeout")
    with RawWebSocket(server.address) as client:
        client.sock.settimeout(0.2)
        frames, end = b"\x81\x80abcd" * 2000, time.monotonic() + 10 * PATIENCE
        while time.monotonic() < end:
            try:
                client.sock.sendall(frames)
            except TimeoutError:
                continue
            except OSError:
                break
    until(lambda: ended(server, "flood") == before[0] + 1, "it is closed")
    assert ended(server, "ping_timeout") == before[1]
