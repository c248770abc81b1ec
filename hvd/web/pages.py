"""hvd's rules on browsers: only hvd's own pages, and those of allowed origins, may use its endpoints.

A page can make a person's browser send requests that the page's author may not send. So hvd checks three headers that
browsers set, and pages can't; programs can set them to anything, and only access.py checks those. Each refusal is a
403, whatever token comes along.

* Host, of everything that tells figures or changes something (`check_host`). On a loopback address the name in it must
  be an IP address, localhost, the machine's own or another one without a dot, which nobody has in the world's DNS, or
  that of an origin in allowed_origins: any other site may have led its own name to 127.0.0.1 (DNS rebinding), and its
  page would pass for hvd's own. A proxy on this machine passes on the name by which the world knows it. It is told by
  two things: its headers, and a port that is not this one's, as a browser that connects here itself names this port.
  X-Forwarded-Host is not looked at: a page can set it.
* Origin, of what changes something or tells of jobs (`check_page`): browsers name there the page's own, but in a GET to
  itself. It must be Host's, or one of allowed_origins. `*` there opens /ws, which only tells; it opens nothing here. On
  a loopback address a name without a dot is none of those allowed, nor is a proxy's. /ws has a rule of its own
  (upgrade.py).
* Sec-Fetch-Site, of the same: a page of another site may ask for nothing, even where it names no origin. One of another
  host of this site may have a link to it.

On an address that others reach any name may be right; there it is the token that such a page doesn't know. A unix
socket is out of browsers' reach.
"""

import ipaddress
import socket
from urllib.parse import urlsplit

import falcon

from hvd.settings.exposure import bound_locally
from hvd.settings.table import Settings
from hvd.web.access import came_locally, is_proxied

USUAL_PORTS = (80, 443)
"""Ports that a browser leaves out: of http and https."""


def check_page(req: falcon.Request, settings: Settings) -> None:
    """Raises falcon.HTTPForbidden for a browser that shows a page of another site."""
    origin = req.get_header("Origin")
    if origin is None:
        site, mode = req.get_header("Sec-Fetch-Site"), req.get_header("Sec-Fetch-Mode")
        if site == "cross-site" or (site == "same-site" and mode != "navigate"):
            raise falcon.HTTPForbidden(description="A page of another site may not ask for this.")
        return
    if origin in settings.allowed_origins and origin != "*":
        return
    host = host_of(origin)
    if not host or host != (req.get_header("Host") or "").lower():
        raise falcon.HTTPForbidden(
            description=f"A page of {origin[:200]!r} may not ask for this; see HVD_ALLOWED_ORIGINS."
        )
    connection = req.env.get("gunicorn.socket")
    is_loopback = _own_port(connection) is not None if connection else _bound_to_loopback(settings.bind)
    if is_loopback and not _is_fixed(host, settings):
        raise _led_here(origin)


def check_host(req: falcon.Request, settings: Settings) -> None:
    """Raises falcon.HTTPForbidden for a name in Host that somebody may have led to this machine."""
    host, port = (req.get_header("Host") or "").lower(), _own_port(req.env.get("gunicorn.socket"))
    if port is None or "." not in host.partition(":")[0] or _is_fixed(host, settings):  # browsers name a host always
        return
    if not (is_proxied(req) and _port_of(host) != port and not (_port_of(host) is None and port in USUAL_PORTS)):
        raise _led_here(host)


def host_of(origin: str) -> str | None:
    """Host and port of an origin, in lower case; empty or None for what is no origin."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # brackets that are no IPv6 address
        return None


def _led_here(name: str) -> falcon.HTTPForbidden:
    return falcon.HTTPForbidden(
        description=f"Any name can be led to this machine: if {name[:200]!r} is right, list its origin, as"
        " https://hvd.example, in HVD_ALLOWED_ORIGINS."
    )


def _bound_to_loopback(bind: str) -> bool:
    return bound_locally(bind) and not bind.startswith("unix:")


def _own_port(connection: socket.socket | None) -> int | None:
    """The port of the loopback address to which this connects; None for another address, and for a unix socket."""
    if connection is None or connection.family == socket.AF_UNIX or not came_locally(connection):
        return None
    return int(connection.getsockname()[1])


def _port_of(host: str) -> int | None:
    try:
        return urlsplit(f"//{host}").port
    except ValueError:
        return None


def _is_fixed(host: str, settings: Settings) -> bool:
    """True for a host name that no foreign name server can resolve, and for those that are allowed by name."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:  # brackets that are no IPv6 address
        return False
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3: browsers never ask for it
        return True
    if name == socket.gethostname().lower() or host in map(host_of, settings.allowed_origins):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
