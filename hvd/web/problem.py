"""Errors as JSON problems (RFC 9457), for Falcon and for what gunicorn refuses before Falcon sees it."""

import json
import logging
import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

import falcon

from hvd.texts import rfc3339

log = logging.getLogger("hvd.web")

MEDIA_TYPE = "application/problem+json"


class ProblemError(falcon.HTTPError):
    """An error with members of its own beside status, title and detail (section 3.2)."""

    def __init__(self, status: int, detail: str, **members: Any) -> None:
        super().__init__(status, description=detail)
        self.members = members


def problem(
    status: int, detail: str | None = None, title: str | None = None, members: Mapping[str, Any] | None = None
) -> bytes:
    """A problem object, encoded. `type` is left out, which means "about:blank" (section 4.2.1).

    Existing clients show `error`, which is the detail, or the title where there is none, and `timestamp`, in UTC.
    """
    title = title or _phrase(status)
    known = {"status": status, "title": title, "detail": detail}
    texts = {"error": detail or title, "timestamp": rfc3339(time.time_ns())}
    return json.dumps({name: value for name, value in known.items() if value} | dict(members or {}) | texts).encode()


def problem_response(status: int, detail: str, *headers: str) -> bytes:
    """A whole HTTP/1.1 response that ends the connection; `headers` as "Name: value"."""
    body = problem(status, detail)
    more = "".join(f"{header}\r\n" for header in headers)
    head = (
        f"HTTP/1.1 {status} {_phrase(status)}\r\nDate: {formatdate(usegmt=True)}\r\nConnection: close\r\n{more}"
        f"Content-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("latin-1") + body


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def serialize(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Falcon's error serializer: always a problem, whatever the client accepts."""
    detail = error.description
    if detail is None and error.status_code == 404:
        detail = "Nothing is here. GET / lists what there is."
    if detail is None and error.status_code == 405:
        detail = f"{req.method} is not served here: the header Allow lists what is."
    resp.content_type = MEDIA_TYPE
    title = error.title if error.title != falcon.code_to_http_status(error.status) else None
    resp.data = problem(error.status_code, detail, title, getattr(error, "members", None))


def unexpected(req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]) -> None:
    """Falcon's handler of last resort: the traceback for the log, a 500 without it for the client."""
    log.error("%s %r failed", req.method, req.path, exc_info=error)
    serialize(req, resp, falcon.HTTPInternalServerError(description="The error is in the daemon's log."))
    resp.status = falcon.HTTP_500
