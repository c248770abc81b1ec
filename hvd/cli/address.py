"""Where a daemon is asked: what --url takes, and a connection there."""

import re
import socket
import time
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote, urlsplit

from hvd.cli import tls

FORMS = "give http://HOST:PORT, https://HOST/PATH, HOST:PORT or unix:PATH"
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # nosec B104  # bound to all addresses, reached at the local one
_PORTS = {"http": 80, "https": 443}
_ENDPOINT = re.compile(r"/(health|healthz|metrics|ws|api/v1/\w+)\Z")
"""What a person may have copied with the address. With a / behind it is a prefix, as everything else is."""


@dataclass(frozen=True)
class Address:
    """Where a daemon listens: `unix_path`, or `host` and `port`, by `tls` or not, with its paths below `prefix`.

    `url` names it in messages, which also name what was `tried` before it. `token` is presented there if it is asked
    for, and not before. `ca_file` has the authorities whose certificates are taken, instead of the system's.
    """

    url: str
    host: str = "localhost"
    port: int = 80
    unix_path: str = ""
    tried: tuple[str, ...] = ()
    token: str = field(default="", repr=False)
    tls: bool = False
    prefix: str = ""
    ca_file: str = ""

    @classmethod
    def parse(cls, url: str) -> "Address":
        """The address that a person means. Raises ValueError, saying what would be right."""
        if url.startswith("unix:"):
            path = url.removeprefix("unix:").removeprefix("//")
            if not path or not path.isprintable():
                raise _wrong(url)
            return cls(url, unix_path=path)
        if url.startswith(("/", "./", "../")):
            raise ValueError(f"{url!r} is no address of a daemon: for a socket give unix:{url}")
        parts = _checked_parts(url)
        prefix = quote(_prefix(parts.path), safe="/%:@!$&'()*+,;=~")
        port = parts.port or _PORTS[parts.scheme]
        text = f"{parts.scheme}://{parts.netloc}{prefix}"
        return cls(text, str(parts.hostname), port, tls=parts.scheme == "https", prefix=prefix)

    @classmethod
    def of_bind(cls, bind: str) -> "Address":
        """The address at which a daemon with that setting `bind` is reached from its own machine."""
        if bind.startswith("unix:"):
            return cls.parse(bind)
        host, _, port = bind.rpartition(":")
        return cls.parse(f"http://{_EVERYWHERE.get(host, host)}:{port}")

    @property
    def authority(self) -> str:
        """What a request names in its header Host (RFC 9110, section 7.2)."""
        host = self.host.partition("%")[0]  # the zone of an IPv6 address means nothing elsewhere (RFC 6874)
        host = f"[{host}]" if ":" in host else host
        return host if self.unix_path or self.port == _PORTS["https" if self.tls else "http"] else f"{host}:{self.port}"

    def connect(self, timeout: float | None) -> socket.socket:
        """A socket that is connected, with this timeout in s. Raises OSError: of TLS an ssl.SSLError."""
        deadline = None if timeout is None else time.monotonic() + timeout
        sock = self._connected(timeout)
        if not self.tls:
            return sock
        try:
            if deadline is not None:
                sock.settimeout(max(0.001, deadline - time.monotonic()))
            secured = tls.context(self.ca_file).wrap_socket(sock, server_hostname=self.host.partition("%")[0])
            secured.settimeout(timeout)
        except BaseException:
            sock.close()
            raise
        return secured

    def _connected(self, timeout: float | None) -> socket.socket:
        if not self.unix_path:
            sock = socket.create_connection((self.host, self.port), timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a body doesn't wait for its head's receipt
            return sock
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(timeout)
            sock.connect(self.unix_path)
        except BaseException:
            sock.close()
            raise
        return sock


def _wrong(url: str, reason: str = "") -> ValueError:
    return ValueError(f"{url!r} is no address of a daemon{reason}: {FORMS}")


def _checked_parts(url: str) -> SplitResult:
    """The parts of an address that is http or https. Raises ValueError."""
    text = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        host.encode("idna")
    except ValueError:
        raise _wrong(url) from None
    if "@" in parts.netloc:  # which is not repeated: it may have a password
        raise ValueError("an address of a daemon has no user or password: leave them out, a token goes by --token-file")
    if parts.netloc.count(":") > 1 and "[" not in parts.netloc:
        raise ValueError(f"{url!r} is no address of a daemon: an IPv6 address stands in brackets, http://[::1]:8080")
    try:
        is_odd = parts.scheme not in _PORTS or parts.port == 0 or not host or host.isdecimal()
    except ValueError:  # of the port
        raise _wrong(url) from None
    if is_odd or not url.isprintable() or " " in url:
        raise _wrong(url)
    if parts.query:
        raise _wrong(url, f" with ?{parts.query} behind it")
    return parts


def _prefix(path: str) -> str:
    return (path if path.endswith("/") else _ENDPOINT.sub("", path)).rstrip("/")
