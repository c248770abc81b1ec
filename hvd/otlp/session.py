"""The HTTP session of the exporter: an answer costs no more memory and time than it is worth, and is looked at.

Session is public (requests 2.34); `_content` of its Response is not: it is where `content` keeps what was read.
tests/unit/otlp/test_session.py fails if that changes.
"""

import contextlib
import math
import time
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

LONGEST = 64 * 1024  # bytes of an answer that are read: it says at most what was thrown away, and why
DEADLINE = 10.0  # s for the whole answer, once its head is there


class Session(requests.Session):
    """Used by one thread at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble = ""
        self.wait = 0.0
        """For how many seconds the receiver wants nothing more, by its last answer."""
        self._refused = ""

    def request(self, method: str, url: str | bytes, *args: Any, **named: Any) -> requests.Response:
        """As requests does it; but the figures go nowhere else, and the answer is bounded."""
        self.trouble, self.wait = "", 0.0
        named.update(stream=True, allow_redirects=False)
        if self.verify is not True:  # else REQUESTS_CA_BUNDLE would come before the file that the exporter was told
            named.setdefault("verify", self.verify)
        try:
            response = super().request(method, url, *args, **named)
            response._content = _read(response)
        except Exception as error:
            self.trouble = reason(error)
            raise
        if response.is_redirect:  # which the exporter takes for a success
            self.trouble = f"it answers {response.status_code}: set the endpoint to {response.headers['location']}"
            raise requests.HTTPError(self.trouble, response=response)
        if not response.ok:
            self.wait = seconds_of(response.headers.get("Retry-After", ""))
            self.trouble = f"it answers {response.status_code} {response.reason}: {response.text[:200]}".rstrip(": ")
        else:
            self._look(response.content)
        return response

    def _look(self, answer: bytes) -> None:
        try:
            partial = ExportMetricsServiceResponse.FromString(answer).partial_success
        except Exception:  # as of a receiver that answers in words: it has taken all
            return
        if partial.rejected_data_points:
            self._refused = f"{partial.rejected_data_points} points: {partial.error_message or 'no reason given'}"

    def take_refused(self) -> str:
        """What the last answers said of points that were thrown away; "" where there were none."""
        refused, self._refused = self._refused, ""
        return refused


def _read(response: requests.Response) -> bytes:
    deadline, data = time.monotonic() + DEADLINE, bytearray()
    for part in response.iter_content(1):  # of more it would wait for all
        data += part
        if len(data) > LONGEST or time.monotonic() > deadline:
            response.close()
            break
    return bytes(data)


def seconds_of(retry_after: str) -> float:
    """How long from now on Retry-After says, as a number or a date (RFC 9110, section 10.2.3); 0 for anything else."""
    seconds = 0.0
    with contextlib.suppress(ValueError):
        seconds = float(retry_after) if retry_after[:1].isdigit() else _date(retry_after) - time.time()
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0


def _date(text: str) -> float:
    """Unix time; ValueError where it is no date."""
    return parsedate_to_datetime(text).timestamp()


def reason(error: BaseException) -> str:
    """The reason that the system tells, where there is one below all that was made of it."""
    inner: BaseException | None = error
    seen: set[int] = set()
    while inner is not None and id(inner) not in seen:
        seen.add(id(inner))
        if isinstance(inner, OSError) and inner.strerror and not isinstance(inner, requests.RequestException):
            return inner.strerror
        inner = inner.__cause__ or inner.__context__ or getattr(inner, "reason", None)
    return f"{type(error).__name__}: {error}"
