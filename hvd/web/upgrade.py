"""`/ws`: check an upgrade request, then pass the client's socket on to the hub.

The worker is free again at once: it never speaks WebSocket. The handshake is RFC 6455, section 4.2.1; who may connect
is decided by the Origin header (section 10.2), which browsers always send.
"""

import base64
import binascii
import os
import socket
from collections.abc import Iterable

import falcon

from hvd.agg import handoff
from hvd.metrics import HANDOFFS_REFUSED
from hvd.runtime import Runtime
from hvd.web.access import host_of
from hvd.web.counting import EXCHANGE

RETRY_AFTER = 2  # s; an aggregator is replaced sooner
AWAY = 5.0  # s without a sign of life from the hub, after which clients are not left waiting for it


class Upgrade:
    """Passes a proper upgrade request on; the hub answers it.

    Whatever is refused here is counted as such, as the hub counts what it refuses itself. A request of another method
    than GET is no upgrade that could be refused (RFC 6455, section 4.1): Falcon answers it, with 405.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        worker = self._runtime.worker
        try:
            headers = handshake_headers(req)
            check_origin(req, worker.settings.allowed_origins)
        except falcon.HTTPError as error:
            worker.rows.count(HANDOFFS_REFUSED, (str(error.status_code),))
            raise
        client = req.env["gunicorn.socket"]
        age = worker.view.heartbeat_age()
        if age is None or age > AWAY or not hand_over(worker.handoff, client.fileno(), headers):
            worker.rows.count(HANDOFFS_REFUSED, ("503",))
            raise falcon.HTTPServiceUnavailable(
                description="The aggregator, which serves WebSockets, is away or can't keep up.",
                retry_after=RETRY_AFTER,
            )
        if exchange := req.env.get(EXCHANGE):
            exchange.pass_on()
        resp.status = falcon.HTTP_101  # which gunicorn writes to a connection that is over, and says nothing of that


def handshake_headers(req: falcon.Request) -> dict[str, str]:
    """What the hub needs for its answer. Raises falcon.HTTPError where the request is no proper handshake."""
    connection = {token.strip().lower() for token in (req.get_header("Connection") or "").split(",")}
    if "upgrade" not in connection or (req.get_header("Upgrade") or "").lower() != "websocket":
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
    asked = {handoff.DETAIL: "1"} if req.get_param("detail") == "1" else {}
    return {"sec-websocket-key": key, "sec-websocket-version": "13", **asked}


def check_origin(req: falcon.Request, allowed: Iterable[str]) -> None:
    """Raises falcon.HTTPForbidden for a browser whose page is neither of this host nor of an allowed origin."""
    origin = req.get_header("Origin")
    allowed = tuple(allowed)
    if origin is None or "*" in allowed or origin in allowed:
        return
    if not allowed and host_of(origin) == (req.get_header("Host") or "").lower():
        return
    raise falcon.HTTPForbidden(description=f"Origin {origin[:200]!r} may not connect; see HVD_ALLOWED_ORIGINS.")


def hand_over(channel: socket.socket, fd: int, headers: dict[str, str]) -> bool:
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
        if not handoff.send(channel, fd, headers):
            return False
        os.dup2(dead.fileno(), fd, inheritable=False)
    return True
