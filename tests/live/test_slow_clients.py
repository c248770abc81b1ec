"""Clients that are slow, on the real thing: they show as what they are, end in time, and hold up no honest client."""

import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from hvd.core.slots import Slots
from hvd.metrics.clients import WAITING
from tests.support.http import Connection, connect
from tests.support.server import Server
from tests.support.waiting import PATIENCE, until

APP = """
from tests.support.app import app as inner
LARGE = b"x" * 4_000_000
def app(environ, start_response):
    if environ["PATH_INFO"] == "/large":
        start_response("200 OK", [("Content-Length", str(len(LARGE)))])
        return [LARGE]
    if environ["PATH_INFO"] == "/endless":
        start_response("200 OK", [])
        return iter(lambda: LARGE[:100_000], None)
    if environ["PATH_INFO"] == "/read":
        size = str(len(environ["wsgi.input"].read())).encode()
        start_response("200 OK", [("Content-Length", str(len(size)))])
        return [size]
    return inner(environ, start_response)
"""
POST = b"POST /read HTTP/1.1\r\nHost: t\r\n"
HALF = {
    "silent": b"",
    "half_head": b"GET /hello HTTP/1.1\r\nHo",
    "half_body": POST + b"Content-Length: 5\r\n\r\n1",
    "unread": b"GET /large HTTP/1.1\r\nHost: t\r\n\r\n",
    "idle": b"GET /hello HTTP/1.1\r\nHost: t\r\n\r\n",
}
MORE = {
    "chunked": POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n1",
    "expecting": POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    "large": POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 70_000,
    "pipelined": HALF["idle"] + HALF["half_head"],
    "endless": b"GET /endless HTTP/1.1\r\nHost: t\r\n\r\n",
}
SHORT = {"limits_head_seconds": 1, "limits_body_seconds": 1, "limits_send_seconds": 1}


@contextmanager
def serving(folder: Path, **settings: object) -> Iterator[Server]:
    (folder / "slow_app.py").write_text(APP)
    arguments = ("--pythonpath", str(folder))
    with Server(folder, app="slow_app:app", arguments=arguments, **{"workers": 1, **settings}) as server:  # type: ignore[arg-type]
        yield server


def waiting(server: Server) -> dict[str, int]:
    """How many connections the workers wait for, by what; the numbers that are not 0."""
    with server.opened() as block:
        cells = [slot.clients for slot in Slots(block).taken() if slot.kind_name == "worker"]
    sums = {name: sum(numbers[index] for numbers in cells) for index, name in enumerate(WAITING)}
    return {name: number for name, number in sums.items() if number}


def slow(server: Server, request: bytes, stack: ExitStack) -> socket.socket:
    sock = stack.enter_context(connect(server.address))
    sock.sendall(request)
    return sock


def rest(sock: socket.socket) -> bytes:
    """What the server still sends, until it closes or resets the connection."""
    data = b""
    try:
        while piece := sock.recv(1 << 20):
            data += piece
    except ConnectionResetError:
        pass
    return data


def answered(server: Server, seconds: float = 2) -> None:
    """An honest client is answered within this time."""
    began = time.monotonic()
    with server.connection() as honest:
        assert honest.get("/hello").status == 200
    assert time.monotonic() - began < seconds * PATIENCE


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "unix:"])
def test_slow_clients_show_as_what_they_are_and_hold_up_nobody(tmp_path: Path, bind: str) -> None:
    """Three times as many of each kind as there are threads; once they have gone, nothing is left of them."""
    bind += f"{tmp_path}/http.sock" if bind == "unix:" else ""
    with serving(tmp_path, threads=2, bind=bind, keepalive=60) as server:
        for kind, request in HALF.items():
            with ExitStack() as stack:
                for _ in range(6):
                    slow(server, request, stack)
                until(lambda kind=kind: waiting(server).get(kind) == 6, f"they are {kind}")
                for _ in range(5):
                    answered(server)
            until(lambda: not waiting(server), "all have gone")
        for request in MORE.values():
            with ExitStack() as stack:
                for _ in range(6):
                    slow(server, request, stack)
                answered(server, 6)
        until(lambda: not waiting(server), "all have gone")
        server.wait_idle()
        requests = server.snapshot()["requests"]
        assert requests["started"] == requests["finished"] + requests["in_flight"] + requests["aborted"]
    assert not server.alarms


def test_slow_clients_end(tmp_path: Path) -> None:
    """Half a request is answered 408, and counted; a silent client is closed; who doesn't read is reset."""
    with serving(tmp_path, threads=2, **SHORT) as server, ExitStack() as stack:
        socks = {kind: slow(server, request, stack) for kind, request in (HALF | MORE).items() if kind != "idle"}
        answers = {kind: rest(sock) for kind, sock in socks.items() if kind not in ("unread", "endless")}
        assert answers.pop("silent") == b""
        for kind in ("half_head", "half_body", "chunked", "pipelined"):
            assert b"HTTP/1.1 408 Request Timeout\r\n" in answers[kind], kind
            head, _, body = answers[kind].rpartition(b"\r\n\r\n")
            assert b"Content-Type: application/problem+json" in head
            assert json.loads(body)["status"] == 408
        assert answers["expecting"].startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        until(lambda: waiting(server) == {}, "all have ended")
        assert len(rest(socks["unread"])) < 4_000_000
        assert server.samples("hvd_http_requests_total", "route", "status")["(unparsed)", "408"] == 4
        server.wait_idle()
    assert not server.alarms


def trickle(sock: socket.socket, data: bytes, stop: threading.Event) -> None:
    """A byte now and then, until the server has had enough."""
    try:
        for byte in data:
            sock.sendall(bytes([byte]))
            if stop.wait(0.1):
                return
    except OSError:
        pass


@pytest.mark.parametrize("worker_class", ["gthread", "sync"])
def test_a_byte_now_and_then_is_not_enough(tmp_path: Path, worker_class: str) -> None:
    """A head has its seconds in all, and a body 500 bytes a second beside them."""
    with serving(tmp_path, worker_class=worker_class, threads=1, **SHORT) as server:
        for begin in (b"GET / HTTP/1.1\r\nX: ", POST + b"Content-Length: 1000\r\n\r\n"):
            stop = threading.Event()
            with connect(server.address) as sock:
                sock.sendall(begin)
                thread = threading.Thread(target=trickle, args=(sock, b"x" * 1000, stop))
                thread.start()
                began = time.monotonic()
                rest(sock)
                assert time.monotonic() - began < 5 * PATIENCE
                stop.set()
                thread.join()
        answered(server)


def test_who_is_slow_and_gets_there_is_served(tmp_path: Path) -> None:
    """A head and a body in pieces, a large body, and a large response that is read slowly."""
    with serving(tmp_path, threads=1, keepalive=60) as server, connect(server.address) as sock:
        for _ in range(2):
            for byte in POST + b"Content-Length: 5\r\n\r\n12345":
                sock.sendall(bytes([byte]))
            until(lambda: sock.recv(65536, socket.MSG_PEEK).endswith(b"\r\n\r\n5"), "all of the answer is there")
            sock.recv(65536)
        with Connection(server.address) as other:
            assert other.request("POST", "/read", body=bytes(3_000_000)).body == b"3000000"
        sock.sendall(HALF["unread"])
        until(lambda: waiting(server).get("unread") == 1, "it doesn't read")
        answered(server)
        size = 0
        while size < 4_000_000:
            size += len(sock.recv(100_000))
        sock.sendall(HALF["idle"])
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert not server.alarms


@pytest.mark.parametrize("kind", ["silent", "half_head", "half_body", "expecting", "idle"])
def test_where_every_place_is_taken_honest_clients_wait_for_seconds(tmp_path: Path, kind: str) -> None:
    """More slow ones than connections that a worker takes; the limits are far away."""
    arguments = ("--worker-connections", "40")
    (tmp_path / "slow_app.py").write_text(APP)
    with (
        Server(
            tmp_path,
            app="slow_app:app",
            workers=1,
            threads=2,
            keepalive=600,
            arguments=("--pythonpath", str(tmp_path), *arguments),
            limits_head_seconds=600,
            limits_body_seconds=600,
        ) as server,
        ExitStack() as stack,
    ):
        for _ in range(100):
            slow(server, (HALF | MORE)[kind], stack)
        answered(server, 10)
    assert not server.alarms


@pytest.mark.parametrize("kind", ["silent", "half_head", "half_body", "unread", "endless"])
def test_a_sync_worker_ends_slow_clients_and_goes_on(tmp_path: Path, kind: str) -> None:
    """One after the other; the master does not take it for one that hangs."""
    settings = SHORT | {"limits_head_seconds": 2, "limits_body_seconds": 2, "limits_send_seconds": 2}
    with serving(tmp_path, worker_class="sync", timeout=1, threads=1, **settings) as server, ExitStack() as stack:
        pids = server.pids("worker")
        sock = slow(server, (HALF | MORE)[kind], stack)
        answered(server, 8)
        if kind in ("half_head",):
            assert rest(sock).startswith(b"HTTP/1.1 408 ")
        assert server.pids("worker") == pids
    assert not [line for line in server.alarms if "timed out" not in line]


def test_a_stop_waits_for_responses_that_are_read_slowly(tmp_path: Path) -> None:
    """And not for clients that have not begun with a request."""
    with serving(tmp_path, threads=1) as server, ExitStack() as stack:
        silent, half = slow(server, b"", stack), slow(server, HALF["half_head"], stack)
        sock = slow(server, HALF["unread"], stack)
        until(lambda: waiting(server) == {"silent": 1, "half_head": 1, "unread": 1}, "all are there")
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        until(lambda: "Handling signal: term" in server.log, "it stops")
        assert len(rest(sock)) > 4_000_000
        assert rest(silent) == b""
        assert not rest(half).startswith(b"HTTP/1.1 200")
        stopping.join()
    assert not server.alarms


def test_new_limits_are_for_new_workers(tmp_path: Path) -> None:
    """A reload brings them."""
    config = tmp_path / "hvd.toml"
    config.write_text("[limits]\nhead_seconds = 600\n")
    with Server(tmp_path, workers=1, environ={"HVD_CONFIG": str(config)}) as server:
        config.write_text("[limits]\nhead_seconds = 0.5\n")
        server.reload()
        with connect(server.address) as sock:
            sock.sendall(HALF["half_head"])
            assert rest(sock).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("kind", ["silent", "half a record", "half a handshake", "after the handshake", "half a head"])
def test_slow_clients_under_tls_hold_up_nobody_for_long(tmp_path: Path, kind: str) -> None:
    """Where gunicorn ends TLS itself: three times as many as there are threads, and each of them ends."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=t", "-days", "2"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, hello = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, hello).do_handshake()
    record = hello.read()
    server = Server(
        tmp_path,
        bind=f"unix:{tmp_path}/tls.sock",
        arguments=("--certfile", str(certificate), "--keyfile", str(key)),
        workers=1,
        threads=2,
        limits_head_seconds=5,
        limits_body_seconds=5,
    )

    def ask(sock: socket.socket) -> bytes:
        with context.wrap_socket(sock) as client:
            client.sendall(b"GET /hello HTTP/1.1\r\nHost: t\r\n\r\n")
            answer = client.recv(100)
            client.sendall(b"GET /hello HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
            return answer if client.recv(100) else b""

    with server.start(ready=False), ExitStack() as stack:
        until(lambda: "Booting worker" in server.log and server.pids("worker"), "it has a worker")
        assert ask(connect(server.address)).startswith(b"HTTP/1.1 200 ")
        socks = []
        for _ in range(6):
            sock = stack.enter_context(connect(server.address))
            if kind == "half a record":
                sock.sendall(record[:100])
            elif kind == "half a handshake":
                sock.sendall(record)
            socks.append(sock)
        if kind in ("after the handshake", "half a head"):
            for sock in socks:
                threading.Thread(target=_shake, args=(context, sock, kind == "half a head", stack), daemon=True).start()
        began = time.monotonic()
        assert ask(connect(server.address)).startswith(b"HTTP/1.1 200 ")
        assert time.monotonic() - began < 8 * PATIENCE
        until(lambda: not waiting(server), "all have ended", 30)
    assert not server.alarms


def _shake(context: ssl.SSLContext, sock: socket.socket, begins: bool, stack: ExitStack) -> None:
    with suppress(OSError):
        client = stack.enter_context(context.wrap_socket(sock))
        if begins:
            client.sendall(b"GET / HTTP/1.1\r\nHo")
