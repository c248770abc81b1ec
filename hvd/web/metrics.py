"""`/metrics`: the client says in which format, with which names, and whether compressed."""

import gzip
from typing import NamedTuple
from urllib.parse import parse_qs

import falcon
import gunicorn
from falcon import mediatypes

from hvd.export.exposition import OPENMETRICS, TEXT, TEXT_1, Exposition
from hvd.export.notation import ESCAPINGS, UNDERSCORES
from hvd.export.own import Style
from hvd.export.presets.table import metrics_of
from hvd.web.here import Here
from hvd.web.resources import negotiate
from hvd.web.static_files import takes_gzip

OFFERED = [TEXT, OPENMETRICS, TEXT_1, "text/plain"]


class Format(NamedTuple):
    """What the client likes best: a media type, and how names are escaped, "" where it says nothing of that."""

    media_type: str
    escaping: str = ""

    @property
    def content_type(self) -> str:
        """As the response's header has it."""
        media_type = TEXT if self.media_type == "text/plain" else self.media_type
        escaping = f"; escaping={self.escaping}" if self.escaping else ""
        return f"{media_type}; charset=utf-8{escaping}"

    def style(self, *, created: bool) -> Style:
        """How metrics are written."""
        openmetrics = self.media_type == OPENMETRICS
        return Style(openmetrics, self.escaping or UNDERSCORES, created=created and openmetrics)


class Metrics:
    """Prometheus text 0.0.4 or 1.0.0, or OpenMetrics 1.0 where Accept prefers it; only samples of the names that
    `name[]` has, where it is there.
    """

    def __init__(self, here: Here) -> None:
        self._here = here
        self._expositions: dict[tuple[str, ...], Exposition] = {}

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        wanted, parts = format_of(req), self._here.parts
        reader, settings = parts.reader, parts.settings
        figures = reader.read(own=True).figures(
            reader.series_limits(), gunicorn.__version__, settings.job_kinds, reader.own_limit
        )
        exposition = self._exposition(tuple(settings.http_presets))
        names = parse_qs(req.query_string).get("name[]")
        text = exposition.render(figures, wanted.style(created=settings.created_series), names)
        resp.content_type = wanted.content_type
        resp.data = text.encode("utf-8", "replace")
        resp.append_header("Vary", "Accept, Accept-Encoding")
        if takes_gzip(req.get_header("Accept-Encoding") or ""):
            resp.data = gzip.compress(resp.data, 1)
            resp.set_header("Content-Encoding", "gzip")

    on_head = on_get

    def _exposition(self, presets: tuple[str, ...]) -> Exposition:
        """One for each value that the setting has had: reloads change it."""
        if presets not in self._expositions:
            self._expositions[presets] = Exposition(metrics_of(presets))
        return self._expositions[presets]


def format_of(req: falcon.Request) -> Format:
    """The format that Accept prefers. Raises as resources.negotiate does.

    How names are escaped is a parameter of a media range that names a version, 1.0.0
    (prometheus.io/docs/instrumenting/content_negotiation); a scheme that nobody knows is underscores, as in
    prometheus_client 0.26.0.
    """
    best = negotiate(req, OFFERED)
    wanted, versions = mediatypes.parse_header(best)
    for media_range in req.accept.lower().split(","):
        media_type, parameters = mediatypes.parse_header(media_range)
        if (media_type, parameters.get("version")) == (wanted, "1.0.0") and versions.get("version") == "1.0.0":
            scheme = parameters.get("escaping", "")
            return Format(best, scheme if scheme in ESCAPINGS or not scheme else UNDERSCORES)
    return Format(best)
