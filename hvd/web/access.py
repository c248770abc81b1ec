"""The scope that a caller has, and whether it is enough.

The table of endpoints says which scope each operation needs: nothing, `read`, `jobs` or `admin`. With the setting
`reads` at "open", what needs `read` is anybody's. For the rest a caller has a scope

* by a token: `Authorization: Bearer TOKEN`, or on /ws the subprotocol `hvd.bearer.TOKEN`, since a browser can set no
  header there. A token in a query is refused: logs and histories would keep it.
* by its process, on a unix socket: the daemon's user, root and the group of `socket_group` (hvd/core/peers.py).
* by being on this machine, on a loopback address.

A proxy gets no scope by its process or machine, since these are not its client's. It identifies itself by one of the
headers PROXY_HEADERS; on a loopback address its client may be on this machine, too, if every
address that X-Forwarded-For names is. So a proxy that hides its client must not be let in by its group.

Once a token is there, or reads need one, it is asked for on every address; only on the admin server's own unix socket
the daemon's user and root are let in without it, who could read it anyway. What the setting `bind` says must hold for
the connection too: gunicorn may have been given another address, or a socket.
"""

import hmac
import os
import socket
from enum import Enum
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

import falcon

from hvd.core import peers
from hvd.settings.exposure import asks_for_tokens, bound_locally, is_loopback
from hvd.settings.table import READS_OPEN, Settings
from hvd.settings.tokens import Scope, digest_of
from hvd.web.admin import BEGAN

SUBPROTOCOL = "hvd"
"""The subprotocol of /ws that a client offers beside its token, and that is agreed on (RFC 6455, section 4.2.2)."""

BEARER_SUBPROTOCOL = "hvd.bearer."
"""What a subprotocol begins with that is a token: the token follows, percent-encoded where it has to be."""

_SECRETS = ("token", "access_token", "hvd_token")
"""Parameters of a query that are tokens; RFC 6750, section 2.3, has the second."""

PROXY_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via")
"""Headers by which a proxy is known."""


class Peer(Enum):
    """Whose process is at the other end of a unix socket."""

    OWNER = "the daemon's user, or root"
    MEMBER = "let in by its group"
    STRANGER = "another user"


class Caller(NamedTuple):
    """A caller and its scope. `is_wrong`: it has presented a token that is none of the daemon's."""

    scope: Scope
    is_wrong: bool = False


def check_query(req: falcon.Request) -> None:
    """Raises falcon.HTTPBadRequest for a token in the query; the answer doesn't have it."""
    if "token=" not in req.query_string.lower():
        return
    for name, _ in parse_qsl(req.query_string, keep_blank_values=True):
        if name.lower() in _SECRETS:
            raise falcon.HTTPBadRequest(
                description=f"The query has `{name}`: logs keep queries. Send it as `Authorization: Bearer TOKEN`, and "
                "revoke this one if it was right."
            )


def check_scope(req: falcon.Request, settings: Settings, needed: Scope, *, admin: bool) -> None:
    """Raises falcon.HTTPUnauthorized where the caller has to present a token, HTTPForbidden where its scope is too low.

    `admin` is true on the admin server.
    """
    if needed <= Scope.READ and (not needed or settings.reads == READS_OPEN):
        return
    caller = who(req, settings, admin=admin)
    if caller.scope < needed:
        raise _refusal(caller, needed, settings)


def may_read(req: falcon.Request, settings: Settings) -> bool:
    """Whether this caller may read figures; asked where what is answered depends on it."""
    return settings.reads == READS_OPEN or who(req, settings, admin=BEGAN in req.env).scope >= Scope.READ


def who(req: falcon.Request, settings: Settings, *, admin: bool) -> Caller:
    """The caller of a request. `admin` is true on the admin server."""
    asks = asks_for_tokens(settings)
    if asks and (token := _presented(req)) is not None:
        scope = _scope_of(token, settings)
        return Caller(scope, is_wrong=not scope)
    connection = req.env.get("gunicorn.socket")
    if connection is not None and connection.family == socket.AF_UNIX:
        peer = Peer.STRANGER if is_proxied(req) else peer_of(connection, settings)
        is_let_in = peer is Peer.OWNER and admin if asks else peer is not Peer.STRANGER
    else:
        is_let_in = not asks and bound_locally(settings.bind) and came_locally(connection) and _client_is_local(req)
    return Caller(Scope.ADMIN if is_let_in else Scope.NOTHING)


def peer_of(connection: socket.socket, settings: Settings) -> Peer:
    """Whose process has connected to a unix socket, by what the kernel noted then."""
    credentials = peers.Peer.of(connection)
    if credentials is None:
        return Peer.STRANGER
    if credentials.is_one_of(peers.own_users()):
        return Peer.OWNER
    return Peer.MEMBER if credentials.is_in(_group_of(settings)) else Peer.STRANGER


def _group_of(settings: Settings) -> int:
    """The group of hvd's sockets: the one that is set, else the process's own; -1, in which nobody is, for one that is
    gone by now.
    """
    try:
        return peers.gid_of(settings.socket_group) if settings.socket_group else os.getegid()
    except KeyError:
        return -1


def is_proxied(req: falcon.Request) -> bool:
    """Whether it comes through a proxy that identifies itself."""
    return "PROXY_PROTOCOL" in req.env or any(req.get_header(name) is not None for name in PROXY_HEADERS)


def _client_is_local(req: falcon.Request) -> bool:
    """Whether the client of a request on a loopback address is on this machine, as far as anybody says."""
    if not is_proxied(req):
        return True
    clients = (req.get_header("X-Forwarded-For") or "").split(",")
    others = any(req.get_header(name) is not None for name in ("Forwarded", "X-Real-Ip")) or "PROXY_PROTOCOL" in req.env
    return not others and all(is_loopback(client.strip()) for client in clients)


def came_locally(connection: socket.socket | None) -> bool:
    """False if the connection's own end is no loopback address: whatever the settings say, others reach it."""
    if connection is None:
        return True
    try:
        host = connection.getsockname()[0]
    except OSError:
        return False
    return is_loopback(host.removeprefix("::ffff:"))


def _presented(req: falcon.Request) -> str | None:
    """The token that comes with the request; None where none does."""
    scheme, _, credentials = (req.auth or "").partition(" ")
    if scheme.lower() == "bearer":
        # a header's bytes come as latin-1 (PEP 3333), whatever they were meant to be
        return credentials.strip().encode("latin-1", "replace").decode("utf-8", "surrogateescape")
    for offered in (req.get_header("Sec-WebSocket-Protocol") or "").split(","):
        if offered.strip().startswith(BEARER_SUBPROTOCOL):
            return unquote(offered.strip().removeprefix(BEARER_SUBPROTOCOL), errors="replace")
    return None


def _scope_of(token: str, settings: Settings) -> Scope:
    """The scope of this token. It is compared with all tokens, each in constant time."""
    digest, scope = digest_of(token), Scope.NOTHING
    for known in settings.tokens or ():
        if hmac.compare_digest(digest, known.digest):
            scope = max(scope, known.scope)
    if settings.token and hmac.compare_digest(digest, digest_of(settings.token)):
        scope = Scope.ADMIN
    return scope


def _refusal(caller: Caller, needed: Scope, settings: Settings) -> falcon.HTTPError:
    """By RFC 6750, section 3: 401 asks for a token, 403 says that this one is not enough."""
    how = "`Authorization: Bearer TOKEN`"
    if caller.is_wrong:
        challenge = _challenge('error="invalid_token"')
        return falcon.HTTPUnauthorized(description="The token is none of this daemon's.", challenges=[challenge])
    if caller.scope:
        return falcon.HTTPForbidden(
            description=f"This needs a token of scope {needed.word}; this one has {caller.scope.word}.",
            headers={"WWW-Authenticate": _challenge(f'error="insufficient_scope", scope="{needed.word}"')},
        )
    if asks_for_tokens(settings):
        challenge = _challenge(f'scope="{needed.word}"')
        return falcon.HTTPUnauthorized(
            description=f"This needs {how}, with a token of scope {needed.word}.", challenges=[challenge]
        )
    if settings.bind.startswith("unix:"):
        who_may = "This is for the daemon's user, root and the group of the setting socket_group"
        return falcon.HTTPForbidden(description=f"{who_may}; or make a token (`hvd token new`) and send it.")
    if bound_locally(settings.bind):
        why = "A proxy speaks for somebody else here, and this daemon has no token"
        return falcon.HTTPForbidden(description=f"{why}: make one by `hvd token new`, and send it.")
    return falcon.HTTPForbidden(
        description="This daemon is reached from other machines and has no token: make one by `hvd token new`, set "
        "HVD_TOKEN, or bind it to 127.0.0.1 or a unix socket."
    )


def _challenge(parameters: str) -> str:
    return f'Bearer realm="hvd", {parameters}'
