"""Who may change things, which is to submit and cancel jobs: until a finer model comes, whoever is on this machine, or
has the token.

Three rules, each answering 403:

* On a loopback or unix-socket bind changes are served; on any other one only with the token of HVD_TOKEN. What the
  setting `bind` says must hold for the connection too: gunicorn may have been given another address, or a socket.
* A page of another site may change nothing, nor read of jobs, on no bind. Browsers name the page's origin in each such
  request, and its own address in Host. `*` in allowed_origins opens /ws, which only tells; it opens nothing here.
* On a loopback bind that page must have come from an IP address or localhost, unless its origin is allowed by name:
  the name of any other site may have been led to 127.0.0.1 (DNS rebinding), and then is the Host's own.
"""

import hmac
import ipaddress
import socket
from urllib.parse import urlsplit

import falcon

from hvd.settings.table import Settings

_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


def check_change(req: falcon.Request, settings: Settings) -> None:
    """Raises falcon.HTTPForbidden for who may not change anything."""
    check_page(req, settings)
    if not (bound_locally(settings.bind) and _came_locally(req)):
        _check_token(req, settings.token or "")


def check_page(req: falcon.Request, settings: Settings) -> None:
    """Raises falcon.HTTPForbidden for a browser that shows a page of another site."""
    origin = req.get_header("Origin")
    if origin is None:
        if req.get_header("Sec-Fetch-Site") == "cross-site":
            raise falcon.HTTPForbidden(description="A page of another site may not ask for this.")
        return
    if origin in settings.allowed_origins and origin != "*":
        return
    host = host_of(origin)
    if not host or host != (req.get_header("Host") or "").lower():
        raise falcon.HTTPForbidden(
            description=f"A page of {origin[:200]!r} may not ask for this; see HVD_ALLOWED_ORIGINS."
        )
    if not settings.bind.startswith("unix:") and bound_locally(settings.bind) and not _is_fixed(host):
        raise falcon.HTTPForbidden(
            description=f"Any name can be led to this machine: if {origin[:200]!r} is right, list it in"
            " HVD_ALLOWED_ORIGINS."
        )


def bound_locally(bind: str) -> bool:
    """True for a unix socket, and for an address that only this machine reaches: 127.0.0.0/8, ::1, localhost."""
    if bind.startswith("unix:"):
        return True
    host = bind.rpartition(":")[0].strip("[]")
    return host.lower() == "localhost" or _is_loopback(host)


def host_of(origin: str) -> str | None:
    """Host and port of an origin, in lower case; empty or None for what is no origin."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # brackets that are no IPv6 address
        return None


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in _LOOPBACK)


def _is_fixed(host: str) -> bool:
    """True for a host that no name server decides on."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3: browsers never ask for it
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _came_locally(req: falcon.Request) -> bool:
    """False if the connection's own end is no loopback address: whatever the settings say, others reach it."""
    connection = req.env.get("gunicorn.socket")
    if connection is None or connection.family == socket.AF_UNIX:
        return True
    try:
        host = connection.getsockname()[0]
    except OSError:
        return False
    return _is_loopback(host.removeprefix("::ffff:"))


def _check_token(req: falcon.Request, token: str) -> None:
    headers = {"WWW-Authenticate": "Bearer"}
    if not token:
        raise falcon.HTTPForbidden(
            description="This daemon is reached from other machines and has no token: set HVD_TOKEN, or bind it to"
            " 127.0.0.1 or a unix socket.",
            headers=headers,
        )
    scheme, _, credentials = (req.auth or "").partition(" ")
    if scheme.lower() != "bearer":
        raise falcon.HTTPForbidden(
            description="This needs the header `Authorization: Bearer TOKEN`, with the daemon's HVD_TOKEN.",
            headers=headers,
        )
    # A header's bytes come as latin-1 (PEP 3333), whatever they were meant to be.
    if not hmac.compare_digest(credentials.strip().encode("latin-1", "replace"), token.encode()):
        raise falcon.HTTPForbidden(description="The token is not the daemon's HVD_TOKEN.", headers=headers)
