"""One request to a running daemon, over TCP, TLS or a unix socket, with only the standard library."""

import contextlib
import http.client
import json
import ssl
import time
from collections.abc import Mapping
from email.message import Message
from typing import Any, NamedTuple

from hvd.cli import stranger, tls
from hvd.cli.address import Address as Address
from hvd.errors import DaemonRefused, DaemonUnreachable

_BODY_MAX = 65 * 1024 * 1024  # bytes; the longest output of a job is below, and a snapshot of 100,000 series
_CHUNK = 64 * 1024
TOKEN_REMEDY = "(hvd: set HVD_TOKEN, or name a file that has a token by --token-file)"  # nosec B105
_HEALTH_WORDS = ("healthy", "starting", "degraded", "unhealthy")
_MARKS = {"/api/v1/snapshot": {"system_health", "health"}}
"""By path, fields one of which shows that the JSON is hvd's and not another service's."""
_ELSEWHERE = (*range(300, 400), 404, 405)
"""Statuses that no daemon answers where it is asked by get_object."""


class _Connection(http.client.HTTPConnection):
    """HTTP to that address, all of it within `timeout` seconds but for the search of the host's name."""

    def __init__(self, address: Address, timeout: float) -> None:
        super().__init__(address.host, address.port, timeout=timeout)
        self._address = address
        self._deadline = time.monotonic() + timeout

    def connect(self) -> None:
        self.sock = tls.within(self._address.connect(self.timeout), self._deadline)


class Answer(NamedTuple):
    """The response to a request; `source` names its sender in messages."""

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
        raise self.not_hvd()

    def refusal(self) -> DaemonUnreachable | DaemonRefused:
        """The error that tells of this answer: by its status, and what the daemon says of a token."""
        if self.status in (401, 403):
            detail = (self.fields or {}).get("detail") or "it does not say why"
            return DaemonRefused(f"{self.url} refused ({self.status}): {detail} {TOKEN_REMEDY}", self.status)
        status = stranger.status_text(self.status)
        return DaemonUnreachable(f"{self.url} answered {status} to {self.source}; see its log", f"it answers {status}")

    def not_hvd(self, lacks: str = "") -> DaemonUnreachable | DaemonRefused:
        """The error that tells that this answer isn't hvd's: a JSON object that `lacks` a field, or none."""
        who = stranger.portrait(self.status, self.headers)
        if self.status in (401, 403):
            remedy = stranger.barrier(self.status, self.headers)
            return DaemonRefused(f"{self.url} refused before hvd was reached ({who}): {remedy}", self.status)
        remedy = stranger.remedy(self.url, self.status, self.headers, self.body)
        what = f"{who} without {lacks}" if lacks else who
        reason = "" if self.status < 300 else f" ({stranger.status_text(self.status)})"
        return DaemonUnreachable(f"{self.url} answers, but it is not hvd ({what}): {remedy}", f"it is not hvd{reason}")


def get_object(address: Address, path: str, timeout: float) -> dict[str, Any]:
    """The JSON object that the daemon answers at `path`, within about `timeout` seconds.

    Raises DaemonUnreachable; DaemonRefused where the caller may not read it.
    """
    answer = exchange(address, "GET", path, timeout)
    fields = answer.object()
    if answer.status in _ELSEWHERE:
        raise answer.not_hvd()
    if answer.status != 200:
        raise answer.refusal()
    if path in _MARKS and not _MARKS[path] & fields.keys():
        raise answer.not_hvd(lacks="a health")
    return fields


def get_health(address: Address, timeout: float) -> tuple[int, dict[str, Any]]:
    """The status and the object of the daemon's /health, whatever it says. Raises DaemonUnreachable, DaemonRefused."""
    answer = exchange(address, "GET", "/health", timeout)
    fields = answer.object()
    if fields.get("status") not in _HEALTH_WORDS:
        raise answer.not_hvd(lacks="a health")
    return answer.status, fields


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
            connection.request(method, f"{address.prefix}{path}", data, {"Host": address.authority, **all_headers})
            with connection.getresponse() as response:
                return Answer(response.status, response.headers, _read_all(response), address.url, f"{method} {path}")
    except TimeoutError:
        reason = f"{_SILENT} within {timeout:g} s"
        text = f"{address.url} {reason}{_before(address)}: {_SILENT_REMEDY}"
        raise DaemonUnreachable(text, reason, is_silent=True) from None
    except ssl.SSLError as error:
        wrong = tls.trouble(error, address.host, address.port, address.ca_file, timeout)
        raise _unusable(address, wrong.reason, wrong.remedy) from None
    except http.client.RemoteDisconnected:
        hint = "" if address.tls or address.unix_path else ", or give https:// if it speaks TLS"
        raise _unusable(address, "ended the connection without an answer", f"see its log{hint}") from None
    except http.client.BadStatusLine as error:
        if str(error).encode("latin-1", "replace").startswith(tls.RECORD):
            raise _unusable(address, "speaks TLS", "give https:// instead of http://") from None
        raise _unusable(address, "answers, but not HTTP: it is not hvd", stranger.REMEDY) from None
    except (OSError, http.client.HTTPException) as error:
        reason = _reason(error)
        runs = any(_SILENT in tried for tried in address.tried)
        remedy = _SILENT_REMEDY if runs else stranger.REMEDY
        text = f"no daemon answers at {address.url} ({reason}){_before(address)}: {remedy}"
        raise DaemonUnreachable(text, reason, is_silent=True) from None


def _unusable(address: Address, reason: str, remedy: str) -> DaemonUnreachable:
    text = f"{address.url} {reason}{_before(address)}: {remedy}"
    return DaemonUnreachable(text, reason, is_silent=True)


_SILENT, _SILENT_REMEDY = "did not answer", "is it overloaded or stopped? See its log"


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
        return f"its answer is broken: {type(error).__name__}"
    strerror = getattr(error, "strerror", None)
    return str(strerror or type(error).__name__).lower()
