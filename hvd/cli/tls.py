"""TLS to a daemon, which a proxy before it ends; and in words what is wrong with it."""

import contextlib
import functools
import math
import socket
import ssl
import time
from datetime import UTC, datetime
from typing import Any, NamedTuple

_EXPIRED, _NOT_YET, _WRONG_HOST, _WRONG_IP = 10, 9, 62, 64  # x509_vfy.h, X509_V_ERR_…
_UNKNOWN_AUTHORITY = (2, 18, 19, 20, 21)
_NO_CHECK_TIME = 0x200000  # x509_vfy.h, X509_V_FLAG_NO_CHECK_TIME
_NAMES_MAX = 5  # of a certificate that may have hundreds
RECORD = b"\x15\x03"
"""How a TLS server begins its answer to plain text: an alert (RFC 8446, section 5.1)."""


class Within(socket.socket):
    """A connection that gives up at its deadline, however many answers in small pieces it gets until then."""

    deadline = math.inf

    def recv_into(self, *args: Any, **kwargs: Any) -> int:  # what http.client reads with, head and body
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        if remaining < math.inf:
            self.settimeout(remaining)
        return super().recv_into(*args, **kwargs)


class SecuredWithin(Within, ssl.SSLSocket):
    """A TLS connection with a deadline."""


def within(connected: socket.socket, deadline: float) -> Within:
    """The connection, with that deadline; it takes the descriptor out of `connected`."""
    if not isinstance(connected, Within):
        timeout = connected.gettimeout()
        connected = Within(fileno=connected.detach())
        connected.settimeout(timeout)
    connected.deadline = deadline
    return connected


@functools.cache  # reading the system's authorities takes some 20 ms
def context(ca_file: str) -> ssl.SSLContext:
    """What checks certificates by the authorities of that file, or of the system. Raises OSError."""
    result = ssl.create_default_context(cafile=ca_file or None)
    result.set_alpn_protocols(["http/1.1"])
    result.sslsocket_class = SecuredWithin
    return result


class Trouble(NamedTuple):
    """What is wrong with the other side, as a sentence without its subject, and what to do."""

    reason: str
    remedy: str


def trouble(error: ssl.SSLError, host: str, port: int, ca_file: str, timeout: float) -> Trouble:
    """What this error means. A certificate is looked at once more, for what it says."""
    if isinstance(error, ssl.SSLCertVerificationError):
        code = error.verify_code
        if code in _UNKNOWN_AUTHORITY:
            return _unknown_authority(error.verify_message, ca_file)
        certificate = _certificate(host, port, ca_file, timeout)
        if code in (_WRONG_HOST, _WRONG_IP):
            return _wrong_host(host, certificate)
        if code == _EXPIRED:
            when = _moment(certificate.get("notAfter"))
            return Trouble(f"has a certificate that expired{when}", "renew it, or set this machine's clock")
        if code == _NOT_YET:
            when = _moment(certificate.get("notBefore"))
            return Trouble(f"has a certificate that is not valid yet{when}", "is this machine's clock right?")
        return Trouble(f"has a certificate that is not taken ({error.verify_message})", "see what its proxy presents")
    name = (error.reason or "").lower().replace("_", " ")
    if name in ("wrong version number", "http request", "record layer failure", "packet length too long"):
        return Trouble("does not speak TLS", "give http:// instead of https://")
    if isinstance(error, ssl.SSLEOFError):
        return Trouble("ended the TLS handshake", "if it speaks plain HTTP, give http:// instead of https://")
    return Trouble(f"does not agree with us on TLS ({name or type(error).__name__})", "see the log of its proxy")


def _unknown_authority(message: str, ca_file: str) -> Trouble:
    """`message` is OpenSSL's, as "self-signed certificate"."""
    reason = f"has a certificate of an authority that is not known here ({message})"
    if ca_file:
        return Trouble(reason, f"the CA file {ca_file!r} is of another one")
    return Trouble(reason, "name a file with that authority's certificate by --ca-file or HVD_CA_FILE")


def _wrong_host(host: str, certificate: dict[str, Any]) -> Trouble:
    names = [name for kind, name in certificate.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
    known = ", ".join(names[:_NAMES_MAX]) + (", …" if len(names) > _NAMES_MAX else "")
    reason = f"has a certificate that is not for {host}{f' but for {known}' if names else ''}"
    return Trouble(reason, "give a name that it is for, or have its proxy present another one")


def _moment(text: object) -> str:
    with contextlib.suppress(ValueError, TypeError):
        seconds = ssl.cert_time_to_seconds(text)  # type: ignore[arg-type]
        return f" ({datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC)"
    return ""


def _certificate(host: str, port: int, ca_file: str, timeout: float) -> dict[str, Any]:
    """What a certificate of a known authority says, whomever and whatever time it is for; empty without one."""
    look = ssl.create_default_context(cafile=ca_file or None)
    look.check_hostname = False
    look.verify_flags |= _NO_CHECK_TIME
    with (
        contextlib.suppress(OSError),
        socket.create_connection((host, port), timeout) as sock,
        look.wrap_socket(sock, server_hostname=host) as secured,
    ):
        return secured.getpeercert() or {}
    return {}
