"""Who gets a WebSocket, and what the others are told."""

import signal
import ssl
import subprocess
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.http import connect
from tests.support.server import Server, upgradable
from tests.support.waiting import until
from tests.support.websocket import (
    INTERVAL,
    Witness,
    clients,
    handshake,
)
from tests.support.ws import PROPER, RawWebSocket

REFUSED: list[tuple[int, dict[str, Any]]] = [
    (426, dict.fromkeys([name for name in PROPER if name != "Host"])),
    (426, {"Upgrade": None}),
    (426, {"Upgrade": "h2c"}),
    (426, {"version": "1.0"}),
    (426, {"version": "1.0", "Host": None}),
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
    connected = server.sample("hvd_websocket_connections_total")
    before = server.counted().get(("/ws", status), 0)
    response = handshake(server, **changes)
    assert response.status == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status
    assert server.counted()["/ws", status] == before + 1
    assert server.sample("hvd_websocket_connections_total") == connected
    if status == 426 and "Sec_WebSocket_Version" in changes:
        assert response.headers["sec-websocket-version"] == "13"


@pytest.mark.parametrize(
    "changes",
    [
        {"Origin": "http://test"},
        {"Connection": "keep-alive, UPGRADE"},
        {"Upgrade": "h2c, WebSocket"},
        {"Sec_WebSocket_Protocol": "chat, superchat"},
    ],
    ids=str,
)
def test_proper_handshakes_are_accepted(server: Server, witness: Witness, changes: dict[str, str | None]) -> None:
    """The answer is of RFC 6455 §1.3."""
    response = handshake(server, **changes)
    assert response.status == 101
    assert response.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert not {"sec-websocket-protocol", "sec-websocket-extensions"} & response.headers.keys()


def test_only_allowed_origins_may_connect(tmp_path: Path) -> None:
    """With a list, those on it, hvd's own page, and nobody else who names one."""
    with Server(tmp_path, workers=1, allowed_origins="https://one.example,https://two.example:8443") as server:
        for origin, status in {
            "https://one.example": 101,
            "https://two.example:8443": 101,
            "https://two.example": 403,
            "http://one.example": 403,
            "http://test": 101,
            "http://test:8443": 403,
        }.items():
            assert handshake(server, Origin=origin).status == status, origin
        assert handshake(server).status == 101, "no browser"


def test_clients_beyond_the_limit_are_refused_clearly(server: Server, witness: Witness) -> None:
    """503 with Retry-After, counted as a response and as a refusal; there is room again once one has left."""
    before = server.counted().get(("/ws", 503), 0)
    refused = server.sample("hvd_websocket_handoffs_refused_total", reason="503")
    errors = server.snapshot()["http_errors"]
    with ExitStack() as others:
        for _ in range(11):
            others.enter_context(Witness(server.address))
        response = handshake(server)
        assert response.status == 503
        assert int(response.headers["retry-after"]) > 0
        assert server.counted()["/ws", 503] == before + 1
        assert server.sample("hvd_websocket_handoffs_refused_total", reason="503") == refused + 1
        assert server.snapshot()["http_errors"] == errors + 1
    until(lambda: clients(server) == 1, "they have left")
    assert handshake(server).status == 101


def test_http_1_1_without_host_is_refused_everywhere(server: Server) -> None:
    """RFC 9112, section 3.2; an older client need not have one."""
    refused = server.counted().get(("(unparsed)", 400), 0)
    paths = ["GET /ws", "GET /health", "GET /metrics", "GET /nowhere", "GET /", "POST /jobs/submit", "OPTIONS *"]
    for number, line in enumerate(paths, 1):
        with server.connection() as connection:
            response = connection.exchange(f"{line} HTTP/1.1\r\n\r\n".encode())
        assert (response.status, response.json()["status"]) == (400, 400), line
        assert "Host" in response.json()["detail"] or "HOST" in response.json()["detail"]
        assert server.counted()["(unparsed)", 400] == refused + number
    with server.connection() as connection:
        assert connection.exchange(b"GET /health HTTP/1.0\r\n\r\n").status == 200


@pytest.mark.parametrize("worker_class", ["sync", "gthread"])
def test_the_first_client_waits_for_the_hub(tmp_path: Path, worker_class: str) -> None:
    """A worker answers before the aggregator ticks; nobody is told to come back."""
    with Server(tmp_path, worker_class=worker_class, workers=1, interval=INTERVAL).start(ready=False) as server:
        client = until(lambda: connected(server), "the daemon listens", 20)
        with client:
            assert client.status == 101
            client.message()


def connected(server: Server) -> RawWebSocket | None:
    """A client, whatever it was answered; None while nobody answers."""
    try:
        return RawWebSocket(server.address, timeout=30)
    except (OSError, IndexError):  # it doesn't listen, or its log doesn't say where
        return None


def test_an_upgrade_refuses_no_client(tmp_path: Path) -> None:
    """USR2, and TERM to the old master before the new one's hub ticks: a connection may break, and none gets 503."""
    daemon = Server(tmp_path, workers=1, threads=2, interval=INTERVAL)
    answers: Counter[int] = Counter()

    def connect_once() -> None:
        if client := connected(daemon):
            answers[client.status] += 1
            client.close()

    with upgradable(daemon) as server:
        old = server.pid
        with server.opened() as block:
            server.signal(signal.SIGUSR2)
            until(lambda: connect_once() or len(block.masters()) == 2, "two masters")
            server.signal(signal.SIGTERM)
            until(lambda: connect_once() or old not in block.masters(), "the old master is gone", 30)
            until(lambda: connect_once() or server.is_healthy(), "the new one is all there", 30)
        server.stop_successor()
    assert answers.keys() == {101}


class Encrypted:
    """Requests to a daemon on a unix socket that ends TLS itself."""

    def __init__(self, server: Server) -> None:
        self._address = server.address
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE

    def get(self, path: str, **headers: str) -> bytes:
        """The whole answer, as it comes out of TLS, which everything on the wire is."""
        lines = [f"GET {path} HTTP/1.1", "Host: test", *(f"{name}: {value}" for name, value in headers.items())]
        with connect(self._address) as plain, self._context.wrap_socket(plain) as sock:
            sock.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
            return b"".join(iter(lambda: sock.recv(65536), b""))


@pytest.mark.parametrize("worker_class", ["sync", "gthread"])
def test_a_tls_connection_is_refused_within_tls(tmp_path: Path, worker_class: str) -> None:
    """It can't be handed over: 501 says why, counted; the rest is served as ever."""
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    subject = ("-subj", "/CN=test")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, *subject],
        check=True,
        capture_output=True,
    )
    arguments = ("--certfile", certificate, "--keyfile", key)
    bind = f"unix:{tmp_path}/tls.sock"
    server = Server(tmp_path, bind=bind, arguments=arguments, worker_class=worker_class, workers=1)
    with server.start(ready=False):
        encrypted = Encrypted(server)
        until(lambda: answers(encrypted), "it answers", 20)
        upgrade = {name: value for name, value in PROPER.items() if name not in ("Host", "Connection")}
        answer = encrypted.get("/ws", Connection="Upgrade", **upgrade)
        assert answer.startswith(b"HTTP/1.1 501 ")
        assert b"TLS" in answer
        metrics = encrypted.get("/metrics")
        assert b'hvd_websocket_handoffs_refused_total{reason="501"} 1\n' in metrics
        assert b'hvd_http_requests_total{method="GET",route="/ws",status="501"} 1\n' in metrics
        assert b"hvd_websocket_connections_total 0\n" in metrics


def answers(encrypted: Encrypted) -> bool:
    try:
        return encrypted.get("/health").startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False
