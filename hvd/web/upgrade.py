"""`/ws`: check an upgrade request, then pass the client's socket on to the hub.

The worker is free again at once: it never speaks WebSocket. The handshake is RFC 6455, section 4.2.1; who may connect
is decided by the Origin header (section 10.2), which browsers always send, and by gate.py. Of subprotocols only `hvd`
is agreed on (section 4.2.2): browsers offer it beside their token. A client that needs another one disconnects.
"""

import base64
import binascii
import os
import socket
import ssl
from collections.abc import Iterable
from typing import Any

import falcon

from hvd.agg import handoff
from hvd.instrument.reports import EXCHANGE
from hvd.metrics.table import HANDOFFS_REFUSED
from hvd.settings.exposure import access_of
from hvd.web.access import SUBPROTOCOL
from hvd.web.admin import BEGAN
from hvd.web.here import Here
from hvd.web.pages import host_of
from hvd.web.waiting import REFUSAL, RETRY_AFTER, Waiting


class Upgrade:
    """Passes a proper upgrade request on; the hub answers it.

    Whatever is refused here is counted as such, as the hub counts what it refuses itself. A request of another method
    than GET is no upgrade that could be refused (RFC 6455, section 4.1): Falcon answers it, with 405.
    """

    def __init__(self, here: Here) -> None:
        self._here = here
        self._waiting = Waiting()

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        parts = self._here.parts
        try:
            headers = handshake_headers(req) | {handoff.ACCESS: access_of(parts.settings)}
            check_origin(req, parts.settings.allowed_origins)
            early = early_bytes(req.env)
            check_connection(req.env["gunicorn.socket"])
        except falcon.HTTPError as error:
            self.note_refusal(error)
            raise
        client = req.env["gunicorn.socket"]
        getattr(client, "leave_loop", int)()  # the hub's traffic must not wake the worker
        expected = self._waiting.may_wait(parts)
        if not expected or not hand_over(parts.handoff, client.fileno(), headers, early):
            parts.rows.count(HANDOFFS_REFUSED, ("503",))
            raise falcon.HTTPServiceUnavailable(description=REFUSAL, retry_after=RETRY_AFTER)
        if exchange := req.env.get(EXCHANGE):
            exchange.pass_on()
        resp.status = falcon.HTTP_101  # which gunicorn writes to a connection that is over, and says nothing of that

    def note_refusal(self, error: falcon.HTTPError) -> None:
        """Count a request that gets no further, here or at the gate."""
        self._here.parts.rows.count(HANDOFFS_REFUSED, (str(error.status_code),))


def handshake_headers(req: falcon.Request) -> dict[str, str]:
    """What the hub needs for its answer. Raises falcon.HTTPError where the request is no proper handshake."""
    if (
        req.env["SERVER_PROTOCOL"] != "HTTP/1.1"  # RFC 9110, section 7.8: no upgrade from 1.0; HTTP/2 has none at all
        or "upgrade" not in tokens(req, "Connection")
        or "websocket" not in tokens(req, "Upgrade")
    ):
        raise falcon.HTTPError(
            426,
            description="This is a WebSocket: connect with an upgrade request.",
            headers={"Upgrade": "websocket", "Connection": "upgrade"},
        )
    if req.get_header("Sec-WebSocket-Version") != "13":
        raise falcon.HTTPError(
            426, description="Only version 13 is spoken (RFC 6455).", headers={"Sec-WebSocket-Version": "13"}
        )
    key = req.get_header("Sec-WebSocket-Key") or ""
    try:
        proper = len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        proper = False
    if not proper:
        raise falcon.HTTPBadRequest(description=f"Sec-WebSocket-Key {key[:40]!r} is not 16 bytes in base64.")
    if req.content_length or req.get_header("Transfer-Encoding"):
        raise falcon.HTTPBadRequest(description="An upgrade request has no body.")
    detail = {handoff.DETAIL: "1"} if req.get_param("detail") == "1" else {}
    admin = {handoff.ADMIN: str(req.env[BEGAN])} if BEGAN in req.env else {}
    offers = tokens(req, "Sec-WebSocket-Protocol")
    agreed = {handoff.PROTOCOL: SUBPROTOCOL} if SUBPROTOCOL in offers else {}
    return {"sec-websocket-key": key, "sec-websocket-version": "13", **agreed, **detail, **admin}


def tokens(req: falcon.Request, name: str) -> set[str]:
    """The members of a header that is a list of tokens, in lower case."""
    return {token.strip().lower() for token in (req.get_header(name) or "").split(",")}


def early_bytes(environ: dict[str, Any]) -> bytes:
    """What gunicorn has read of the client behind its request. Raises falcon.HTTPBadRequest for too much.

    It lies in the buffer of gunicorn's reader, whichever parser read the head, sync or gthread (27.0.1: `reader` of
    http/body.py's Body, `unreader` of its LengthReader, `buf` of http/unreader.py's Unreader): a test holds that. It
    stays there, as the request may yet be refused. Empty where a middleware has replaced `wsgi.input`.
    """
    unreader = getattr(getattr(environ.get("wsgi.input"), "reader", None), "unreader", None)
    early: bytes = unreader.buf.getvalue() if unreader is not None else b""
    early += getattr(environ.get("gunicorn.socket"), "received", b"")  # what the worker's loop has read beyond that
    if len(early) > handoff.EARLY_BYTES:
        raise falcon.HTTPBadRequest(description="Too much was sent before the answer (RFC 6455, section 4.1).")
    return early


def check_connection(client: socket.socket) -> None:
    """Raises falcon.HTTPNotImplemented for a TLS connection: its keys are this process's, so it can't be passed on."""
    if isinstance(client, ssl.SSLSocket):
        raise falcon.HTTPNotImplemented(
            description="WebSockets are not served where gunicorn itself ends TLS: end it in a proxy before hvd."
        )


def check_origin(req: falcon.Request, allowed: Iterable[str]) -> None:
    """Raises falcon.HTTPForbidden for a browser whose page is neither of this host nor of an allowed origin."""
    origin = req.get_header("Origin")
    allowed = tuple(allowed)
    if origin is None or "*" in allowed or origin in allowed:
        return
    if host_of(origin) == (req.get_header("Host") or "").lower():
        return
    raise falcon.HTTPForbidden(description=f"Origin {origin[:200]!r} may not connect; see HVD_ALLOWED_ORIGINS.")


def hand_over(channel: socket.socket, fd: int, headers: dict[str, str], early: bytes = b"") -> bool:
    """Pass the descriptor's socket on, and make the descriptor mean a connection that is over; False if it can't be.

    gunicorn shuts the connection down when the request ends (27.0.1, util.close_graceful): that must not reach the
    socket which the hub has by now. What may fail for want of descriptors comes first: once sent, nothing may fail.
    """
    try:
        dead, other = socket.socketpair()
    except OSError:
        return False
    other.close()
    with dead:
        if not handoff.send(channel, fd, headers, early):
            return False
        os.dup2(dead.fileno(), fd, inheritable=False)
    return True
