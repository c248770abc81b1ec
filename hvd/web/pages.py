"""Which pages a browser may show that asks for what changes something, or tells of jobs: hvd's own, and those allowed.

A page of another site may ask for nothing of that, on no address and with no token. Browsers name the page's origin in
each such request, and its own address in Host. `*` in allowed_origins opens /ws, which only tells; it opens nothing
here. On a loopback bind that page must have come from an IP address or localhost, unless its origin is allowed by name:
the name of any other site may have been led to 127.0.0.1 (DNS rebinding), and then is the Host's own.
"""

import ipaddress
from urllib.parse import urlsplit

import falcon

from hvd.settings.exposure import bound_locally
from hvd.settings.table import Settings


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


def host_of(origin: str) -> str | None:
    """Host and port of an origin, in lower case; empty or None for what is no origin."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # brackets that are no IPv6 address
        return None


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
