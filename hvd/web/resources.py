"""The endpoints that answer from the block. Each reads it when asked: no worker's answer is older than another's."""

import gzip
import json
import os
import re
import time
from collections.abc import Mapping

import falcon
from falcon import mediatypes

from hvd import __version__
from hvd.core.hot import IS_COMPILED
from hvd.read.history import HistoryAnswer, build_history
from hvd.read.jobs import JOB_COUNTS, build_job_totals
from hvd.read.snapshot import SnapshotAnswer, build_detailed_snapshot, build_raw, build_snapshot, build_workers
from hvd.texts import duration, rfc3339
from hvd.web.access import may_read
from hvd.web.answers import HealthAnswer, IndexAnswer, StatusAnswer
from hvd.web.here import Here
from hvd.web.pages import check_host
from hvd.web.static_files import send_page, takes_gzip

LARGE = 16 * 1024
"""Bytes above which an answer is compressed: a whole history has 55 kB, and a third of it in half a millisecond."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9a-z-]+"  # nosec B105  # of HTTP's grammar
_MEDIA_RANGE = re.compile(rf"(\*|{_TOKEN}/{_TOKEN})([ \t]*;([ \t]*{_TOKEN}=({_TOKEN}|\"([^\"\\]|\\.)*\"))?)*")
"""RFC 9110, section 12.5.1, in lower case; and a lone `*`, which java.net.HttpURLConnection sends."""


def negotiate(req: falcon.Request, offered: list[str]) -> str:
    """The media type, of those offered, that the client likes best; the first where it has no preference.

    Raises falcon.HTTPBadRequest for an Accept header that can't be read, HTTPNotAcceptable (RFC 9110, section
    15.5.7) where it excludes them all.
    """
    ranges = [part.strip() for part in req.accept.lower().split(",") if part.strip()]
    try:
        if not ranges or not all(map(_MEDIA_RANGE.fullmatch, ranges)):
            raise ValueError("a media range must be type/subtype, with parameters as ;name=value")
        best = mediatypes.best_match(offered, ", ".join(ranges))
    except ValueError as error:
        detail = str(error).rstrip(".")
        raise falcon.HTTPBadRequest(description=f"Accept {req.accept[:200]!r} can't be read: {detail}.") from None
    if not best:
        raise falcon.HTTPNotAcceptable(
            description=f"Accept {req.accept[:200]!r} excludes what is here: {', '.join(offered)}."
        )
    return best


class JsonResource:
    """An endpoint that answers GET and HEAD with one JSON object."""

    heeds_accept = True

    def __init__(self, here: Here) -> None:
        self._here = here

    def answer(self) -> Mapping[str, object]:
        """The object."""
        raise NotImplementedError

    def answer_to(self, req: falcon.Request) -> Mapping[str, object]:
        """The object for a request, where that matters."""
        return self.answer()

    def status_of(self, answer: Mapping[str, object]) -> int:
        """The status with which it is answered."""
        return 200

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        if self.heeds_accept:
            negotiate(req, [falcon.MEDIA_JSON])
        answer = self.answer_to(req)
        resp.status = self.status_of(answer)
        send_json(req, resp, answer)

    on_head = on_get


def send_json(req: falcon.Request, resp: falcon.Response, answer: Mapping[str, object]) -> None:
    """Answer with this object, compressed where it is large and the client takes that."""
    resp.content_type = falcon.MEDIA_JSON
    resp.cache_control = ["no-store"]
    resp.append_header("Vary", "Accept-Encoding")
    resp.data = json.dumps(answer, separators=(",", ":")).encode()
    if len(resp.data) > LARGE and takes_gzip(req.get_header("Accept-Encoding") or ""):
        resp.data = gzip.compress(resp.data, 1)
        resp.set_header("Content-Encoding", "gzip")


class Index(JsonResource):
    """`/`: the dashboard for clients that prefer a page, as browsers do; else the list of endpoints as JSON."""

    def __init__(self, here: Here, endpoints: Mapping[str, str]) -> None:
        """`endpoints` says of each path what it is for."""
        super().__init__(here)
        self._endpoints = endpoints

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.append_header("Vary", "Accept")
        if negotiate(req, [falcon.MEDIA_JSON, "text/html"]) == falcon.MEDIA_JSON:
            super().on_get(req, resp)
        else:
            send_page(req, resp)

    on_head = on_get

    def answer(self) -> IndexAnswer:
        return {"name": "hvd", "version": __version__, "endpoints": self._endpoints}


class Health(JsonResource):
    """`/health`: healthy, starting, or degraded while a companion is away or the service is saturated, each with 200;
    and 503 for unhealthy: no worker serves, so only an admin server can say it.

    Whatever the client accepts: a probe that sends an odd header asks whether the daemon lives, not for a format
    (RFC 9110, section 12.5.1, leaves that to the server).
    """

    heeds_accept = False

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Only the status for a caller who may not read, as a load balancer: the rest has paths of requests."""
        if self._tells_all(req):
            super().on_get(req, resp)
            return
        answer = self.answer()
        resp.status = self.status_of(answer)
        send_json(req, resp, {"status": answer["status"], "timestamp": answer["timestamp"]})

    on_head = on_get

    def _tells_all(self, req: falcon.Request) -> bool:
        settings = self._here.parts.settings
        try:
            check_host(req, settings)
        except falcon.HTTPForbidden:
            return False
        return may_read(req, settings)

    def answer(self) -> HealthAnswer:
        vitals = self._here.parts.reader.vitals()
        companions, service, age = vitals.companions, vitals.service, vitals.companions.aggregator_age
        return {
            "status": vitals.health.status,
            "reasons": vitals.health.reasons,
            "timestamp": rfc3339(time.time_ns()),
            "version": __version__,
            "uptime_seconds": round(companions.uptime, 3),
            "aggregator_heartbeat_age_seconds": None if age is None else round(age, 3),
            "workers_alive": len(service.workers),
            "worker_threads": service.threads,
            "worker_threads_busy": service.busy,
            "saturated_seconds": round(vitals.saturation.seconds, 3),
            "longest_requests": service.longest_requests(),
        }

    def status_of(self, answer: Mapping[str, object]) -> int:
        return 503 if answer["status"] == "unhealthy" else 200


class Status(JsonResource):
    """`/status`: version, uptime, processes, job totals."""

    def answer(self) -> StatusAnswer:
        parts = self._here.parts
        reading = parts.reader.read()
        raw = build_raw(reading)
        return {
            "version": __version__,
            "instance": parts.settings.instance,
            "answered_by": os.getpid(),
            "hot_path": "C" if IS_COMPILED else "Python",
            "uptime_seconds": raw["uptime_seconds"],
            "totals_since": raw["totals_since"],
            "system_health": raw["system_health"],
            "websocket_clients": raw["websocket_clients"],
            "observed_age_seconds": raw["observed_age_seconds"],
            "requests": raw["requests"],
            "processes": reading.observation["processes"] if reading.observation else [],
            "workers": build_workers(reading.totals, reading.observation),
            "jobs": {name: raw[name] for name in JOB_COUNTS},
            "uptime": duration(raw["uptime_seconds"]),
            "timestamp": raw["timestamp"],
            **build_job_totals(raw),
        }


class Snapshot(JsonResource):
    """`/api/v1/snapshot`: `raw`, workers, routes, post-mortems; with `?detail=1` the app's own metrics too."""

    def answer_to(self, req: falcon.Request) -> SnapshotAnswer:
        reader, detailed = self._here.parts.reader, req.get_param("detail") == "1"
        build = build_detailed_snapshot if detailed else build_snapshot
        return build(reader.read(own=detailed), reader.post_mortems())


class History(JsonResource):
    """`/api/v1/history`: the last fifteen minutes, a point every two seconds."""

    def answer(self) -> HistoryAnswer:
        parts = self._here.parts
        return build_history(parts.reader.history(), parts.settings.interval)
