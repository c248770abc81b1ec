"""One request to a running daemon, over TCP or a unix socket, with only the standard library."""

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from hvd.errors import DaemonRefused, DaemonUnreachable

_BODY_MAX = 65 * 1024 * 1024  # bytes; the longest output of a job is below, and a snapshot of 100,000 series
_CHUNK = 64 * 1024
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # nosec B104  # bound to all addresses, reached at the local one
TOKEN_REMEDY = "(hvd: set HVD_TOKEN, or name a file that has a token by --token-file)"  # nosec B105
_REMEDY = "start the daemon, or name its address with --url; hvd list shows those that run here"


@dataclass(frozen=True)
class Address:
    """Where a daemon listens: `unix_path`, or `host` and `port`. `url` names it in messages, which also name what was
    `tried` before it. `token` is presented there if it is asked for, and not before.
    """

    url: str
    host: str = "localhost"
    port: int = 80
    unix_path: str = ""
    tried: tuple[str, ...] = ()
    token: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> "Address":
        """The address that `http://HOST:PORT` or `unix:PATH` names. Raises ValueError, saying what would be right."""
        wrong = ValueError(f"{url!r} is no address of a daemon: give http://HOST:PORT or unix:PATH")
        if url.startswith("unix:"):
            path = url.removeprefix("unix:").removeprefix("//")
            if not path or not path.isprintable():
                raise wrong
            return cls(url, unix_path=path)
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise wrong from None
        if parts.scheme != "http" or not parts.hostname or not url.isprintable() or "@" in parts.netloc:
            raise wrong
        if parts.path not in ("", "/") or parts.query or parts.fragment or port == 0:
            raise wrong
        return cls(url.rstrip("/"), parts.hostname, 80 if port is None else port)

    @classmethod
    def of_bind(cls, bind: str) -> "Address":
        """The address at which a daemon with that setting `bind` is reached from its own machine."""
        if bind.startswith("unix:"):
            return cls.parse(bind)
        host, _, port = bind.rpartition(":")
        return cls.parse(f"http://{_EVERYWHERE.get(host, host)}:{port}")

    def connect(self, timeout: float | None) -> socket.socket:
        """A socket that is connected, with this timeout in s. Raises OSError."""
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


class _Socket(socket.socket):
    """A connection that gives up at its deadline, however many answers in small pieces it gets until then."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        timeout = connected.gettimeout()
        super().__init__(fileno=connected.detach())
        self.settimeout(timeout)
        self._deadline = deadline

    def recv_into(self, *args: Any, **kwargs: Any) -> int:  # what http.client reads with, head and body
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)
        return super().recv_into(*args, **kwargs)


class _Connection(http.client.HTTPConnection):
    """HTTP over TCP or a unix socket, all of it within `timeout` seconds but for the search of the host's name."""

    def __init__(self, address: Address, timeout: float) -> None:
        super().__init__(address.host, address.port, timeout=timeout)
        self._address = address
        self._deadline = time.monotonic() + timeout

    def connect(self) -> None:
        self.sock = _Socket(self._address.connect(self.timeout), self._deadline)


class Answer(NamedTuple):
    """What came back of a request; `source` names that in messages."""

    status: int
    headers: Message
    body: bytes
    url: str
    source: str

    @property
    def fields(self) -> dict[str, Any] | None:
        """The JSON object in the body; None if there is none."""
        try:
            fields = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return fields if isinstance(fields, dict) else None

    def object(self) -> dict[str, Any]:
        """The JSON object in the body, whatever the status. Raises DaemonUnreachable if there is none."""
        fields = self.fields
        if fields is not None:
            return fields
        if self.status >= 300:
            raise self.refusal()
        raise DaemonUnreachable(f"{self.url} is not hvd: {self.source} gave no JSON object; {_REMEDY}")

    def refusal(self) -> DaemonUnreachable | DaemonRefused:
        """The error that tells of this answer: by its status, and what the daemon says of a token."""
        if self.status in (401, 403):
            detail = (self.fields or {}).get("detail") or "it does not say why"
            return DaemonRefused(f"{self.url} refused ({self.status}): {detail} {TOKEN_REMEDY}", self.status)
        status = f"{self.status} {http.client.responses.get(self.status, '')}".rstrip()
        return DaemonUnreachable(f"{self.url} answered {status} to {self.source}; see its log", f"it answers {status}")


def get_object(address: Address, path: str, timeout: float) -> dict[str, Any]:
    """The JSON object that the daemon answers at `path`, within about `timeout` seconds.

    Raises DaemonUnreachable, and DaemonRefused for who may not ask.
    """
    answer = exchange(address, "GET", path, timeout)
    fields = answer.object()
    if answer.status != 200:
        raise answer.refusal()
    return fields


def exchange(
    address: Address,
    method: str,
    path: str,
    timeout: float,
    *,
    body: object = None,
    headers: Mapping[str, str | bytes] | None = None,
) -> Answer:
    """The daemon's answer, whatever it is; `body` is sent as JSON unless it is None. The address's token goes along
    only where the answer without it is 401: most daemons need none to be read, and it goes over the wire in the clear.

    Raises DaemonUnreachable where there is none within about `timeout` seconds.
    """
    all_headers = {"Accept": "application/json", "Connection": "close", **(headers or {})}
    data = None
    if body is not None:
        data = json.dumps(body).encode()
        all_headers["Content-Type"] = "application/json"
    answer = _exchange(address, method, path, timeout, data, all_headers)
    if answer.status == 401 and address.token and "Authorization" not in all_headers:
        answer = _exchange(address, method, path, timeout, data, {**all_headers, **bearer(address.token)})
    return answer


def bearer(token: str) -> dict[str, str | bytes]:
    """The header that presents this token; none for ""."""
    return {"Authorization": f"Bearer {token}".encode()} if token else {}


def _exchange(
    address: Address,
    method: str,
    path: str,
    timeout: float,
    data: bytes | None,
    all_headers: Mapping[str, str | bytes],
) -> Answer:
    try:
        with contextlib.closing(_Connection(address, timeout)) as connection:
            connection.request(method, path, data, all_headers)
            with connection.getresponse() as response:
                return Answer(response.status, response.headers, _read_all(response), address.url, f"{method} {path}")
    except TimeoutError:
        reason = f"did not answer within {timeout:g} s"
        text = f"{address.url} {reason}{_before(address)}: is it overloaded or stopped? See its log"
        raise DaemonUnreachable(text, reason, is_silent=True) from None
    except (OSError, http.client.HTTPException) as error:
        reason = _reason(error)
        text = f"no daemon answers at {address.url} ({reason}){_before(address)}: {_REMEDY}"
        raise DaemonUnreachable(text, reason, is_silent=True) from None


def _before(address: Address) -> str:
    return f", nor before at {', '.join(address.tried)}" if address.tried else ""


def _read_all(response: http.client.HTTPResponse) -> bytes:
    body = bytearray()
    while chunk := response.read1(_CHUNK):
        body += chunk
        if len(body) > _BODY_MAX:
            raise http.client.HTTPException(f"more than {_BODY_MAX} bytes")
    if response.length:
        raise http.client.IncompleteRead(bytes(body), response.length)
    return bytes(body)


def _reason(error: Exception) -> str:
    """The error in words that are ours or the system's: an exception may hold bytes of whoever answered."""
    if isinstance(error, http.client.HTTPException):
        return f"the answer is not HTTP: {type(error).__name__}"
    strerror = getattr(error, "strerror", None)
    return str(strerror or type(error).__name__).lower()
