"""TLS with real servers and certificates: what is taken, and in which words the rest is refused."""

import contextlib
import socketserver
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hvd.cli.client import Address, get_object
from hvd.cli.websocket import messages
from hvd.errors import DaemonUnreachable
from tests.support.certificates import Authority
from tests.unit.cli.daemon import running

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{"status": "healthy"}'


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@contextlib.contextmanager
def serving(certificate: Path | None = None, key: Path | None = None, reply: bytes = OK) -> Iterator[int]:
    """A server that gives each request this reply, with a certificate by TLS; yields its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if certificate:
        context.load_cert_chain(certificate, key)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):  # a client that doesn't take the certificate ends the handshake
                sock: Any = context.wrap_socket(self.request, server_side=True) if certificate else self.request
                with sock:
                    sock.recv(65_536)
                    sock.sendall(reply)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    with running(server):
        yield server.server_address[1]


def failure(address: Address) -> str:
    """What is said of it, in a line that names the address."""
    with pytest.raises(DaemonUnreachable) as caught:
        get_object(address, "/health", 5.0)
    text = str(caught.value)
    assert text.startswith(f"{address.url} ")
    assert "\n" not in text
    return text.removeprefix(f"{address.url} ")


def test_a_known_authority_is_taken(authority: Authority, tmp_path: Path) -> None:
    """For the host that the certificate is for; the end of a connection is told by TLS as elsewhere."""
    with serving(*authority.issue(tmp_path, "DNS:localhost,IP:127.0.0.1")) as port:
        for host in ("localhost", "127.0.0.1"):
            address = replace(Address.parse(f"https://{host}:{port}"), ca_file=str(authority.file))
            assert get_object(address, "/health", 5.0) == {"status": "healthy"}
        with pytest.raises(DaemonUnreachable, match="/ws refused the connection"):
            next(messages(address, 5.0))


def test_an_unknown_authority_is_told(authority: Authority, tmp_path: Path) -> None:
    """With the option that names it, or that it is not in the file that was named."""
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    with serving(*authority.issue(tmp_path, "DNS:localhost")) as port:
        address = Address.parse(f"https://localhost:{port}")
        text = failure(address)
        assert "of an authority that is not known here (unable to get local issuer certificate)" in text
        assert "by --ca-file or HVD_CA_FILE" in text
        assert f"the CA file '{other.file}' is of another one" in failure(replace(address, ca_file=str(other.file)))


def test_a_certificate_that_expired_or_is_for_another_host_is_told(authority: Authority, tmp_path: Path) -> None:
    """With the time, and with the names that it is for."""
    known = {"ca_file": str(authority.file)}
    with serving(*authority.issue(tmp_path, "IP:127.0.0.1", days=-1)) as port:
        text = failure(replace(Address.parse(f"https://127.0.0.1:{port}"), **known))
        assert text.startswith("has a certificate that expired (2")
        assert text.endswith(" UTC): renew it, or set this machine's clock")
    with serving(*authority.issue(tmp_path, "DNS:ops.example,DNS:b.example")) as port:
        for host in ("127.0.0.1", "localhost"):
            text = failure(replace(Address.parse(f"https://{host}:{port}"), **known))
            assert f"a certificate that is not for {host} but for ops.example, b.example: give a name" in text


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_plain_http_at_the_other_end_is_told(reply: bytes) -> None:
    """It answers what is no TLS, or nothing."""
    with serving(reply=reply) as port:
        assert "give http:// instead of https://" in failure(Address.parse(f"https://127.0.0.1:{port}"))


@pytest.mark.parametrize(
    "reply",
    [
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\nThe plain HTTP request was sent to HTTPS port",
        b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
        b"",
    ],
)
def test_tls_at_the_other_end_is_told(reply: bytes) -> None:
    """By an alert, in words of nginx's or Go's, or by the end of the connection."""
    with serving(reply=reply) as port:
        assert "give https://" in failure(Address.parse(f"http://127.0.0.1:{port}"))
