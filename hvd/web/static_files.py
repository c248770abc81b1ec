"""The dashboard's files: named by what is in them, compressed once, and served from memory.

A file's name holds the hash of its content, so a browser keeps it for ever, and a new version has another name. The
page, which browsers check at each visit, has the current names; modules import each other by these names too. Lines
that are comments alone are not served: they are a fifth of the bytes.
"""

import functools
import gzip
import hashlib
import re
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable

import falcon

STATIC = files("hvd.web") / "static"  # in the admin server it is in the archive of hvd's code

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".html": "text/html; charset=utf-8",
}
_FOREVER = ["public", "max-age=31536000", "immutable"]
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; "  # the WebSocket too, where the browser knows CSP level 3
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
_IMPORT = re.compile(r'((?:\bfrom|\bimport)\s*\(?\s*")\./([a-z]+\.js)(")')
_REFERENCE = re.compile(r'((?:href|src)="static/)([a-z]+\.(?:js|css))(")')
_COMMENT = re.compile(r"^[ \t]*(?://[^\n]*|/\*.*?\*/)[ \t]*\n", re.MULTILINE | re.DOTALL)
_MODULES = "<!-- modules -->"


@dataclass(frozen=True)
class Asset:
    """A file as it is served: both encodings, and the hash that names it."""

    content_type: str
    plain: bytes = field(repr=False)
    packed: bytes = field(repr=False)
    digest: str

    @classmethod
    def of(cls, suffix: str, data: bytes) -> "Asset":
        digest = hashlib.sha256(data).hexdigest()[:12]
        return cls(_TYPES[suffix], data, gzip.compress(data, 9, mtime=0), digest)


class Site:
    """The page, and the other files by the name under which they are served.

    Each is named by its content. The files that it imports are named before it: their names are content too.
    """

    def __init__(self, folder: Traversable) -> None:
        """Raises ValueError where modules import each other in a circle."""
        self.files: dict[str, Asset] = {}
        self._folder = folder
        self._names: dict[str, str] = {}
        text = _REFERENCE.sub(self._renamed, (folder / "index.html").read_text(encoding="utf-8"))
        # all at once: else the browser would learn of a module only from the one that imports it
        modules = [name for name in self.files if name.endswith(".js")]
        hints = "\n".join(f'<link rel="modulepreload" href="static/{name}">' for name in modules)
        self.page = Asset.of(".html", text.replace(_MODULES, hints).encode())

    def _name(self, source: str) -> str:
        if source not in self._names:
            self._names[source] = ""
            text = (self._folder / source).read_text(encoding="utf-8")
            stem, suffix = source.rsplit(".", 1)
            asset = Asset.of(f".{suffix}", _IMPORT.sub(self._renamed, without_comments(text)).encode())
            self._names[source] = f"{stem}.{asset.digest}.{suffix}"
            self.files[self._names[source]] = asset
        if not self._names[source]:
            raise ValueError(f"{source} imports itself through others, so it can't be named by its content")
        return self._names[source]

    def _renamed(self, match: re.Match[str]) -> str:
        relative = "./" if match.re is _IMPORT else ""
        return f"{match[1]}{relative}{self._name(match[2])}{match[3]}"


def without_comments(text: str) -> str:
    """A script or a stylesheet without the lines that are comments alone."""
    return _COMMENT.sub("", text)


@functools.cache
def load(folder: Traversable = STATIC) -> Site:
    """The site of a folder: read, named and compressed once for each process."""
    return Site(folder)


class Static:
    """`/static/{name}`: a file of the dashboard. It never changes under its name."""

    def __init__(self) -> None:
        self._files = load().files

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        asset = self._files.get(name)
        if asset is None:
            raise falcon.HTTPNotFound(
                description="No file of the dashboard has this name: reload the page.",
                headers={"Cache-Control": "no-store"},
            )
        resp.cache_control = _FOREVER
        _send(asset, req, resp)

    on_head = on_get


def send_page(req: falcon.Request, resp: falcon.Response) -> None:
    """Answer with the page, which a browser may keep but has to check each time."""
    resp.set_headers(_PAGE_HEADERS)
    resp.cache_control = ["no-cache"]
    _send(load().page, req, resp)


def _send(asset: Asset, req: falcon.Request, resp: falcon.Response) -> None:
    packed = takes_gzip(req.get_header("Accept-Encoding") or "")
    resp.append_header("Vary", "Accept-Encoding")
    resp.set_header("X-Content-Type-Options", "nosniff")
    resp.etag = f"{asset.digest}-gzip" if packed else asset.digest  # RFC 9110, section 8.8.3: one for each encoding
    known = req.if_none_match or []
    if "*" in known or resp.etag.strip('"') in known:
        resp.status = falcon.HTTP_304
        return
    if packed:
        resp.set_header("Content-Encoding", "gzip")
    resp.content_type = asset.content_type
    resp.data = asset.packed if packed else asset.plain


def takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header allows gzip, by name or by *, with a weight above 0.

    A part of it that can't be read allows nothing.
    """
    weights = {}
    for part in accepted.lower().split(","):
        coding, _, parameters = part.partition(";")
        name, _, weight = parameters.partition("=")
        try:
            weights[coding.strip()] = float(weight) if name.strip() == "q" else 1.0
        except ValueError:
            continue
    return weights.get("gzip", weights.get("*", 0.0)) > 0
