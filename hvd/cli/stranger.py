"""What to say of an answer that is not hvd's: a proxy's, a login page's, another service's. Pure."""

import http.client
from email.message import Message
from urllib.parse import urlsplit

from hvd.texts import clipped, escaped

REMEDY = "start the daemon, or name its address with --url; hvd list shows those that run here"
_TEXT_MAX = 60  # characters of a header of somebody else's
_PLAIN_HTTP = b"HTTPS"  # in what nginx (400) and Go's servers say to plain HTTP at a port for TLS


def status_text(status: int) -> str:
    """`502 Bad Gateway`, in our own words: the reason in an answer is somebody else's."""
    return f"{status} {http.client.responses.get(status, '')}".rstrip()


def portrait(status: int, headers: Message) -> str:
    """The server, status and media type: `nginx/1.22.1, 502 Bad Gateway, text/html`."""
    kind = headers.get("Content-Type", "").partition(";")[0]
    parts = [headers.get("Server", ""), status_text(status), kind or "no type"]
    return ", ".join(escaped(clipped(part, _TEXT_MAX), "ascii") for part in parts if part)


def remedy(url: str, status: int, headers: Message, body: bytes) -> str:
    """What to do about an answer that isn't hvd's."""
    if status == 400 and _PLAIN_HTTP in body and url.startswith("http://"):
        return "it wants TLS, give https:// instead of http://"
    if 300 <= status < 400 and (target := headers.get("Location")):
        return _after_redirect(url, target)
    if status in (502, 503, 504):
        return "a proxy that does not reach the daemon: see whether that runs, and the proxy's log"
    if status == 404:
        return "nothing is below this path: is it the one at which the proxy has hvd?"
    return REMEDY


def barrier(status: int, headers: Message) -> str:
    """What to do where a proxy lets nobody in (401, 403)."""
    scheme = headers.get("WWW-Authenticate", "").partition(" ")[0].lower()
    if status == 401 and scheme and scheme != "bearer":
        wanted = f"it asks for a login ({escaped(clipped(scheme, _TEXT_MAX), 'ascii')}), and hvd presents tokens only"
        return f"{wanted}: have the proxy let /api, /health and /ws through, or ask at the daemon's own address"
    return "the proxy refuses this machine: ask from one that it accepts, or at the daemon's own address"


def _after_redirect(url: str, target: str) -> str:
    here, there = urlsplit(url), urlsplit(target)
    destination = escaped(clipped(target, 2 * _TEXT_MAX), "ascii")
    if here.scheme == "http" and there.scheme == "https" and there.hostname == here.hostname:
        return f"it leads to {destination}: give https:// instead of http://"
    return f"it leads to {destination}: give the address that is behind it, or one that asks for no login"
