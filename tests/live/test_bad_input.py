"""Requests that are wrong, hostile or cut off: a problem for an answer, exact counts, few series, nothing left over."""

import contextlib
import json
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.http import Address, Connection, connect
from tests.support.jobs import together
from tests.support.server import Server
from tests.support.waiting import until

UNMATCHED, UNPARSED, OTHER = "(unmatched)", "(unparsed)", "(other)"
END = b"Host: test\r\nConnection: close\r\n\r\n"
Labels = tuple[str, str, str]


@dataclass(frozen=True)
class Case:
    """A request as bytes, and the labels (method, route, status) under which it is to be counted."""

    name: str
    request: bytes
    labels: Labels


def _get(name: str, target: bytes, route: str, status: int, header: bytes = b"", method: bytes = b"GET") -> Case:
    request = method + b" " + target + b" HTTP/1.1\r\n" + header + END
    return Case(name, request, (method.decode() if method.isupper() else OTHER, route, str(status)))


def _unread(name: str, request: bytes, status: int = 400) -> Case:
    """What gunicorn refuses before it is a request."""
    return Case(name, request, (UNPARSED, UNPARSED, str(status)))


def _header(name: str, header: bytes, status: int = 400) -> Case:
    return _unread(name, b"GET /hello HTTP/1.1\r\n" + header + b"\r\n" + END, status)


CASES = [
    _get("unknown path", b"/nope", UNMATCHED, 404),
    _get("path not UTF-8, escaped", b"/%ff%fe", UNMATCHED, 404),
    _get("NUL, escaped", b"/%00", UNMATCHED, 404),
    _get("climbing path, escaped", b"/%2F..%2f..%2Fetc/passwd", UNMATCHED, 404),
    _get("climbing path below a route", b"/items/%2e%2e%2fhello", UNMATCHED, 404),
    _get("server-wide OPTIONS", b"*", UNMATCHED, 404, method=b"OPTIONS"),
    _get("CONNECT", b"example.org:443", UNMATCHED, 404, method=b"CONNECT"),
    _get("wrong method", b"/health", "/health", 405, method=b"POST"),
    _get("wrong method of an app's route", b"/items/7", "/items/{number}", 405, method=b"DELETE"),
    _get("TRACE", b"/metrics", "/metrics", 405, method=b"TRACE"),
    Case("unknown method", b"FROB /health HTTP/1.1\r\n" + END, (OTHER, "/health", "400")),
    Case("method of odd characters", b"!$%'*+-.^_`|~ /health HTTP/1.1\r\n" + END, (OTHER, "/health", "400")),
    _get("WebSocket path without upgrade", b"/ws", "/ws", 426),
    _get("exception in a handler", b"/boom", "/boom", 500),
    _get("exception before a stream's first byte", b"/stream?n=0&fail=1", "/stream", 500),
    _unread("lower-case method", b"get /hello HTTP/1.1\r\n" + END),
    _unread("very long method", b"A" * 300 + b" /hello HTTP/1.1\r\n" + END),
    _unread("raw bytes above ASCII in the path", b"GET /\xff\xfe HTTP/1.1\r\n" + END),
    _unread("raw NUL in the path", b"GET /\0 HTTP/1.1\r\n" + END),
    _unread("space in the path", b"GET /a b HTTP/1.1\r\n" + END),
    _unread("request line of 9 kB", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + END, 414),
    _unread("request line of 300 kB", b"GET /" + b"a" * 300_000 + b" HTTP/1.1\r\n" + END, 414),
    _unread("no version", b"GET /hello\r\n\r\n"),
    _unread("version 9.9", b"GET /hello HTTP/9.9\r\n" + END),
    _unread("version without digits", b"GET /hello HTTP/x\r\n" + END),
    _unread("another protocol", b"GET /hello FTP/1.1\r\n" + END),
    _unread("preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    _unread("bytes above ASCII", bytes(range(128, 192)) + b"\r\n\r\n"),
    _unread("TLS greeting", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x80" * 40 + b"\r\n\r\n"),
    _header("header of 9 kB", b"X: " + b"a" * 9000, 431),
    _header("header of 300 kB", b"X: " + b"a" * 300_000, 431),
    _header("150 headers", b"\r\n".join(b"X-%d: 1" % i for i in range(150)), 431),
    _header("header without a colon", b"nonsense"),
    _header("header without a name", b": x"),
    _header("space before the colon", b"X : x"),
    _header("folded header", b"X: x\r\n y"),
    _header("NUL in a header", b"X: x\0y"),
    _header("bare CR in a header", b"X: x\rSet-Cookie: y"),
    _header("two Host headers", b"Host: a"),
    _header("impossible expectation", b"Expect: the-unexpected", 417),
    _header("negative Content-Length", b"Content-Length: -1"),
    _header("signed Content-Length", b"Content-Length: +5"),
    _header("Content-Length in words", b"Content-Length: five"),
    _header("Content-Length of 5,000 digits", b"Content-Length: " + b"9" * 5000),
    _header("Content-Length twice", b"Content-Length: 3\r\nContent-Length: 3"),
    _header("two Content-Lengths that differ", b"Content-Length: 3\r\nContent-Length: 30"),
    _header("Content-Length list", b"Content-Length: 3, 3"),
    _header("Content-Length and chunked", b"Content-Length: 3\r\nTransfer-Encoding: chunked"),
    _header("chunked twice", b"Transfer-Encoding: chunked, chunked"),
    _header("chunked not last", b"Transfer-Encoding: chunked, gzip"),
    _header("not chunked at all", b"Transfer-Encoding: gzip"),
    _header("unknown transfer coding", b"Transfer-Encoding: xchunked", 501),
    _header("chunked behind a vertical tab", b"Transfer-Encoding:\x0bchunked"),
    _unread(
        "chunked under HTTP/1.0",
        b"POST /hello HTTP/1.0\r\nTransfer-Encoding: chunked\r\n" + END + b"3\r\nabc\r\n0\r\n\r\n",
    ),
]
ENDPOINTS = ("/", "/status", "/api/v1/snapshot", "/metrics")  # /health answers whatever a probe accepts
ACCEPT = {
    b"nonsense": 400,
    b"a/b/c": 400,
    b"text/": 400,
    b"/plain": 400,
    b"*/*;q=abc": 400,
    b"*/*;q=5": 400,
    b"*/*;q=nan": 400,
    b"text/html;q": 400,
    b"text/html text/plain": 400,
    b"\xff\xfe": 400,
    b"image/png": 406,
    b"text/csv, image/*;q=0.5": 406,
    b"*/*;q=0": 406,
}
CASES += [
    _get(
        f"{endpoint}, Accept {accept.decode('latin-1')}",
        endpoint.encode(),
        endpoint,
        status,
        b"Accept: %s\r\n" % accept,
    )
    for endpoint in ENDPOINTS
    for accept, status in ACCEPT.items()
]


@pytest.fixture(scope="module", params=["gthread", "sync"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A daemon of either worker class, with room for one slow client beside the others."""
    threads = {"gthread": {"workers": 1, "threads": 2}, "sync": {"workers": 2, "threads": 1}}[request.param]
    with Server(tmp_path_factory.mktemp("bad"), worker_class=request.param, interval=0.2, **threads) as server:
        yield server


def exchange(address: Address, request: bytes) -> bytes:
    """All that comes back on a connection of its own until the server closes it."""
    with connect(address) as sock:
        sender = threading.Thread(target=send_what_is_taken, args=(sock, request))
        sender.start()
        answer = b""
        try:
            while data := sock.recv(65536):
                answer += data
        finally:
            sender.join()
    return answer


def send_what_is_taken(sock: socket.socket, request: bytes) -> None:
    """A server that refuses need not read to the end."""
    with contextlib.suppress(ConnectionError):
        sock.sendall(request)


def by_labels(server: Server) -> Counter[tuple[str, ...]]:
    """hvd_http_requests_total by (method, route, status)."""
    return server.samples("hvd_http_requests_total", "method", "route", "status")


def errors(server: Server) -> int:
    return int(server.snapshot()["http_errors"])


def settled(server: Server) -> None:
    """Every request is finished and counted, but for the one that asks; AssertionError if that never comes true."""

    def snapshot_of_peace() -> dict[str, Any] | None:
        snapshot = server.snapshot()
        return snapshot if snapshot["requests"]["in_flight"] == 1 else None

    snapshot = until(snapshot_of_peace, "nothing but the question is in flight")
    assert snapshot is not None
    finished = snapshot["http_requests"]
    assert snapshot["requests"] == {"started": finished + 1, "finished": finished, "in_flight": 1, "aborted": 0}


def parse_problem(answer: bytes) -> tuple[int, dict[str, str], dict[str, object]]:
    """Status, headers and problem of an answer, which must be one problem (RFC 9457) and nothing else."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert first.startswith("HTTP/1."), answer[:200]
    status = int(first.split()[1])
    assert headers["content-type"] == "application/problem+json"
    assert int(headers["content-length"]) == len(body)
    problem = json.loads(body)
    assert problem["status"] == status
    assert problem["title"]
    return status, headers, problem


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_request_gets_a_problem_and_is_counted_once(server: Server, case: Case) -> None:
    """The right status as application/problem+json; one error more, under labels that don't hold the client's text."""
    before, errors_before = by_labels(server), errors(server)
    status, headers, problem = parse_problem(exchange(server.address, case.request))
    changed = by_labels(server) - before
    assert status == int(case.labels[2])
    ours = {"/metrics", "/api/v1/snapshot"}
    assert {labels: by for labels, by in changed.items() if not (labels[1] in ours and labels[2] == "200")} == {
        case.labels: 1
    }
    assert errors(server) == errors_before + 1
    if status == 405:
        assert {"GET", "OPTIONS"} <= {method.strip() for method in headers["allow"].split(",")}
    text = json.dumps(problem)
    assert "Traceback" not in text
    assert "&#x27;" not in text
    assert "&gt;" not in text
    settled(server)


def test_an_exception_is_told_to_the_log_only(server: Server) -> None:
    """/boom: its traceback is in the log, its text isn't in the answer."""
    status, _, problem = parse_problem(exchange(server.address, b"GET /boom HTTP/1.1\r\n" + END))
    assert status == 500
    assert "boom" not in json.dumps(problem)
    assert 'raise ValueError("boom")' in server.log
    assert "ValueError: boom" in server.log


def test_a_stream_that_fails_midway_is_cut_off(server: Server) -> None:
    """The client sees that its response is incomplete; it counts once, with the status that was sent."""
    before, errors_before = by_labels(server), errors(server)
    answer = exchange(server.address, b"GET /stream?n=3&fail=1 HTTP/1.1\r\n" + END)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"x" * 1000) == 3
    assert not answer.endswith(b"0\r\n\r\n")
    assert "failed in the middle" in server.log
    stream = ("GET", "/stream", "200")
    assert by_labels(server)[stream] == before[stream] + 1
    assert errors(server) == errors_before
    settled(server)


def test_http_1_0_is_served(server: Server) -> None:
    """A client of HTTP/1.0 gets its answer, and the end of the connection for the end of a stream."""
    hello = exchange(server.address, b"GET /hello HTTP/1.0\r\n\r\n")
    assert hello.split(b"\r\n")[0].split()[1] == b"200"
    stream = exchange(server.address, b"GET /stream?n=3 HTTP/1.0\r\n\r\n")
    assert stream.partition(b"\r\n\r\n")[2] == b"x" * 3000
    missing = exchange(server.address, b"GET /nope HTTP/1.0\r\n\r\n")
    assert parse_problem(missing)[0] == 404
    settled(server)


def test_bytes_may_trickle_in(server: Server) -> None:
    """A request that comes byte by byte is answered, and others are answered meanwhile."""
    hello = ("GET", "/hello", "200")
    before = by_labels(server)[hello]
    with connect(server.address) as slow:
        for index, byte in enumerate(b"GET /hello HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"):
            slow.sendall(bytes([byte]))
            time.sleep(0.004)
            if index % 20 == 0:
                assert server.get("/health").status == 200
        assert slow.recv(65536).startswith(b"HTTP/1.1 200")
    assert by_labels(server)[hello] == before + 1
    settled(server)


def test_smuggled_requests_are_not_served(server: Server) -> None:
    """What follows a request whose framing is in doubt is never taken for another request."""
    before = by_labels(server)
    inner = b"GET /items/smuggled HTTP/1.1\r\nHost: test\r\n\r\n"
    for framing in (
        b"Content-Length: %d\r\nTransfer-Encoding: chunked" % (len(inner) + 5),
        b"Transfer-Encoding: chunked\r\nContent-Length: %d" % (len(inner) + 5),
        b"Content-Length: 5\r\nContent-Length: %d" % (len(inner) + 5),
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding : chunked",
        b"Content-Length: 0\r\n Transfer-Encoding: chunked",
    ):
        request = b"POST /hello HTTP/1.1\r\nHost: test\r\n" + framing + b"\r\n\r\n0\r\n\r\n" + inner
        status, _, _ = parse_problem(exchange(server.address, request))
        assert status in (400, 501)
    body = exchange(
        server.address,
        b"POST /hello HTTP/1.1\r\nContent-Length: %d\r\nConnection: close\r\nHost: test\r\n\r\n" % len(inner) + inner,
    )
    assert body.startswith(b"HTTP/1.1 200")
    assert body.count(b"HTTP/1.1") == 1
    assert "/items/{number}" not in {route for _, route, _ in by_labels(server) - before}
    settled(server)


def test_a_body_that_never_comes_holds_nobody_up(server: Server) -> None:
    """A Content-Length of 20 digits is answered by a route that reads no body."""
    answer = exchange(server.address, b"GET /hello HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n" + END)
    assert answer.startswith(b"HTTP/1.1 200")
    settled(server)


def test_clients_may_leave_at_any_moment(server: Server, tmp_path: Path) -> None:
    """Connections that end before, in, or after a request leave nothing in flight, and count only what was asked."""
    before = by_labels(server)
    request = b"GET /items/left HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    for sent in (b"", b"GE", request[:40], request[:-2]):
        for leave in (socket.socket.close, reset):
            with connect(server.address) as sock:
                sock.sendall(sent)
                leave(sock)
    for leave in (socket.socket.close, reset):
        for path in (b"/stream?n=20&s=0.01", b"/stream?n=20&s=0.01&fail=1"):
            with connect(server.address) as sock:
                sock.sendall(b"GET " + path + b" HTTP/1.1\r\n" + END)
                assert sock.recv(100)
                leave(sock)
        with connect(server.address) as sock:
            gate = tmp_path / leave.__name__
            sock.sendall(b"GET /gate?file=%s HTTP/1.1\r\n" % bytes(gate) + END)
            until(lambda: "/gate" in server.in_progress(), "the request is being served")
            leave(sock)
            gate.touch()
            until(lambda: "/gate" not in server.in_progress(), "it has been served")

    def counted() -> dict[tuple[str, ...], int]:
        changed = by_labels(server) - before
        return {labels: by for labels, by in changed.items() if labels[1] in ("/gate", "/stream")}

    expected = {("GET", "/gate", "200"): 2, ("GET", "/stream", "200"): 4}
    until(lambda: counted() == expected, "what was asked is counted")
    settled(server)
    assert "/items/{number}" not in {route for _, route, _ in by_labels(server) - before}


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_no_client_writes_into_the_log(server: Server) -> None:
    """After all of the above no line of the log holds a control character that a client sent."""
    exchange(server.address, b"GET /\x1b[31m\x07 HTTP/1.1\r\nX\x1b[31m: \x07\r\n" + END)
    exchange(server.address, b"GET /die-not/%1b%0aforged HTTP/1.1\r\n" + END)
    exchange(server.address, b"\x1b[31m /boom HTTP/1.1\r\n" + END)
    exchange(server.address, b"GET /boom?%1b HTTP/1.1\r\n" + END)
    assert not re.findall(r"[\x00-\x08\x0b-\x1f\x7f]", server.log)
    assert "\nforged" not in server.log


def test_a_request_that_cannot_be_handed_to_the_app_is_counted_once(tmp_path: Path) -> None:
    """A path outside the SCRIPT_NAME that a trusted proxy names: gunicorn's 500 counts, nothing else does."""
    with Server(tmp_path, workers=1, threads=1, interval=0.2) as server:
        request = b"GET /hello HTTP/1.1\r\nSCRIPT_NAME: /elsewhere\r\n" + END
        assert parse_problem(exchange(server.address, request))[0] == 500
        assert by_labels(server)[UNPARSED, UNPARSED, "500"] == 1
        settled(server)


METHODS = [b"GET", b"POST", b"PUT", b"DELETE", b"HEADX", b"OPTIONS", b"PATCH", b"TRACE"]
PATHS = 60_000
BATCH = 100


def flood(address: Address, first: int, count: int) -> int:
    """Pipelined requests, each for a path of its own, a hundredth with a method of its own -> the number of answers."""
    methods, seen = cycle(METHODS), 0
    with connect(address, 60) as sock:
        for start in range(first, first + count, BATCH):
            lines = [
                b"%s /path/%d/of/many HTTP/1.1\r\nHost: t\r\n\r\n" % (next(methods), start + i)
                for i in range(BATCH - 1)
            ]
            lines.append(b"METHOD%d /hello HTTP/1.1\r\nHost: t\r\n\r\n" % start)
            sock.sendall(b"".join(lines))
            received, answered = b"", 0
            while answered < BATCH:
                data = sock.recv(65536)
                assert data, "the connection ended"
                received += data
                answered = received.count(b"HTTP/1.1 4") + received.count(b"HTTP/1.1 2")
            seen += answered
    return seen


@pytest.mark.long(22)
def test_60_000_paths_and_600_methods_make_few_series(tmp_path: Path) -> None:
    """However many paths and methods are tried: each counts, series stay few, and workers don't grow."""
    with Server(tmp_path, workers=2, threads=2, interval=0.5) as server:
        flood(server.address, 0, 2000)  # what workers load and cache at their first requests is there
        before, errors_before = by_labels(server), errors(server)
        memory = {pid: psutil.Process(pid).memory_full_info().uss for pid in server.pids("worker")}
        clients = [partial(flood, server.address, number * PATHS // 4, PATHS // 4) for number in range(4)]
        began = time.monotonic()
        assert sum(together(clients)) == PATHS
        print(f"{PATHS:,} paths took {time.monotonic() - began:.1f} s")
        assert errors(server) == errors_before + PATHS
        after = by_labels(server)
        changed = after - before
        assert changed[OTHER, "/hello", "400"] == PATHS // BATCH
        assert sum(by for (_, route, status), by in changed.items() if route == UNMATCHED and status != "200") == (
            PATHS - PATHS // BATCH
        )
        assert server.sample("hvd_series", family="http") <= len(after) + 1 < 25
        for pid, size in memory.items():
            assert psutil.Process(pid).memory_full_info().uss < size + 4 * 1024 * 1024
        settled(server)


def test_series_stop_at_their_limit_and_totals_stay_exact(tmp_path: Path) -> None:
    """With room for 16 series the other label values share the overflow series; no count is lost."""
    with Server(tmp_path, workers=2, threads=2, interval=0.2, max_series=16) as server:
        with Connection(server.address) as connection:
            for code in range(200, 600):
                assert connection.get(f"/status-of/{code}").status == code
        metrics = server.metrics()
        labelled = {
            tuple(dict(labels)[name] for name in ("method", "route", "status")): int(value)
            for (name, labels), value in metrics.items()
            if name == "hvd_http_requests_total"
        }
        told = [
            metrics[f"hvd_series{end}", frozenset({("family", "http")})] for end in ("", "_limit", "_overflow_total")
        ]
        overflow = {labels: count for labels, count in labelled.items() if labels[1] == "overflow"}
        assert set(overflow) == {("overflow", "overflow", status) for status in ("overflow", "4xx", "5xx")}
        assert len(labelled) == 19
        assert told == [19, 16, sum(overflow.values())]
        kept = sum(count for labels, count in labelled.items() if labels[1] == "/status-of/{code}")
        assert 0 < kept <= 16
        assert sum(overflow.values()) >= 400 - kept
        snapshot = server.snapshot()
        assert snapshot["http_errors"] == 200
        assert snapshot["http_client_errors"] == snapshot["http_server_errors"] == 100
        assert snapshot["http_requests"] == sum(labelled.values()) + 1
        settled(server)
