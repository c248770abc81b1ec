"""The table of hvd's endpoints: the app's routes, the list at `/` and the OpenAPI document are all made from it."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from hvd.export.exposition import OPENMETRICS, TEXT, TEXT_1
from hvd.jobs.answers import CancelAnswer, EtaAnswer, LogsAnswer, ProgressAnswer, QueryAnswer, eta_of, progress_of
from hvd.jobs.job import JobAnswer
from hvd.jobs.listing import GROUPS, NEWEST, ORDERS, TEXT_MAX
from hvd.jobs.states import STATUSES
from hvd.jobs.submission import KEY_MAX, LIST_DEFAULT, LIST_MAX, body_schema
from hvd.read.snapshot import DetailedSnapshot, SnapshotAnswer
from hvd.settings.job_kinds import DECLARED_NAME
from hvd.settings.tokens import Scope
from hvd.web import job_retry, job_sets, job_views, jobs, metrics, openapi, output, resources, spans
from hvd.web.answers import HealthAnswer, IndexAnswer, JobPage, KindsAnswer, SubmitAnswer
from hvd.web.events import LAST, Events, EventsAnswer
from hvd.web.here import Here
from hvd.web.operations import Content, Endpoint, Operation, Parameter, json_of
from hvd.web.pins import PinsAnswer, PinsResource
from hvd.web.stacks import Stacks, StacksAnswer
from hvd.web.static_files import Static
from hvd.web.upgrade import Upgrade

_DOCUMENT = json_of({"type": "object"})
_TEXT: Content = {"text/plain": {"type": "string"}}
_ERRORS = (400, 406)
_JOB_ERRORS = (400, 403, 404, 406, 503)
"""Problems of a request that reads jobs."""
_BODY_ERRORS = (*_JOB_ERRORS, 413, 415, 422)
"""Problems of a request that has a body about jobs."""


def _list_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema, "minItems": 1}


def _limit(usual: int) -> Parameter:
    bounds = {"type": "integer", "minimum": 1, "maximum": LIST_MAX, "default": usual}
    return Parameter("limit", "how many at most", bounds)


_UUID = {"type": "string", "format": "uuid"}
_JOB = Parameter("job_id", "the job's id", _UUID, "path")
_STATUS = Parameter("status", "only of these", _list_of({"type": "string", "enum": list(STATUSES)}))
_KIND = Parameter("kind", "only of these", _list_of({"type": "string", "pattern": f"^{DECLARED_NAME.pattern}$"}))
_PLACE = {"type": "string", "pattern": f"^(({'|'.join(GROUPS)})\\.)?[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$"}
_BEFORE = Parameter("before", "only those after this place, `next` of a page; in the order newest a job's id", _PLACE)
_SEARCH = Parameter(
    "search", "only with this in their name, kind or id, in any case", {"type": "string", "maxLength": TEXT_MAX}
)
_ORDER = Parameter(
    "order",
    "newest first; or open: what runs, what waits, what has ended, each newest first",
    {"type": "string", "enum": list(ORDERS), "default": NEWEST},
)
_ALL = Parameter("all", "all, whatever their status; true where it is left out", {"type": "boolean"})
_FOLLOW = Parameter("follow", "1 waits up to 2 s for more", {"type": "string", "enum": ["0", "1"]})
_LINES = Parameter(
    "lines",
    "how many lines of its output at most, as JSON",
    {"type": "integer", "minimum": 1, "maximum": job_views.LOG_LINES, "default": job_views.LOG_LINES},
)
_RANGE = Parameter("Range", "a part of it (RFC 9110, section 14)", {"type": "string"}, "header")
_KEY = Parameter(
    "Idempotency-Key",
    "the same submission, sent again under its key, makes no jobs twice",
    {"type": "string", "pattern": f"^[ -~]{{1,{KEY_MAX}}}$"},
    "header",
)
_PID = Parameter("pid", "only of this worker", {"type": "integer", "minimum": 1, "maximum": 2**31 - 1})
_TIME = {"type": "number", "minimum": 0, "maximum": spans.LATEST}
_FROM = Parameter("from", "since when (Unix time in s); a minute before `to` where it is left out", _TIME)
_TO = Parameter("to", "until when (Unix time in s); now where it is left out", _TIME)
_SINCE_START = Parameter("all", "1 for all since the totals began", {"type": "string", "enum": ["0", "1"]})
_DETAIL = Parameter("detail", "1 for workers, routes and their rates, and the app's own metrics", {"type": "string"})
_NAMES = Parameter("name[]", "only samples of this name; more than once for more names", {"type": "string"})
_AFTER = Parameter(
    "after", "only later ones than the one of this sequence", {"type": "integer", "minimum": 0, "maximum": LAST}
)
_OWN = Parameter("detail", "1 for the app's own metrics too", {"type": "string"})
_KEY_OF_PIN = Parameter("key", "name and labels, as /metrics has them; 960 bytes at most", {"type": "string"})


def _get(content: Content, problems: tuple[int, ...], *parameters: Parameter) -> dict[str, Operation]:
    return {"get": Operation({200: content}, problems, parameters)}


def _jobs(answer: Any, *parameters: Parameter) -> dict[str, Operation]:
    """GET of something of the jobs."""
    return _get(json_of(answer), _JOB_ERRORS, *parameters)


_OUTPUT = {200: _TEXT, 204: {}, 206: _TEXT}
_METRICS: Content = {media_type: {"type": "string"} for media_type in (TEXT, TEXT_1, OPENMETRICS)}
_PAGE: Content = {**json_of(IndexAnswer), "text/html": {"type": "string"}}

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "/health",
        "whether the daemon works",
        resources.Health,
        {"get": Operation({200: json_of(HealthAnswer), 503: json_of(HealthAnswer)}, (400,))},
        scope=Scope.NOTHING,
    ),
    Endpoint("/status", "version, uptime, processes", resources.Status),
    Endpoint(
        "/api/v1/snapshot",
        "all numbers as JSON; ?detail=1",
        resources.Snapshot,
        _get(json_of(SnapshotAnswer | DetailedSnapshot), _ERRORS, _OWN),
        is_private=True,
    ),
    Endpoint("/api/v1/history", "the last fifteen minutes", resources.History),
    Endpoint(
        "/api/v1/events",
        "starts, reloads, deaths, alerts; ?after=",
        Events,
        _get(json_of(EventsAnswer), _ERRORS, _AFTER),
        is_private=True,
    ),
    Endpoint(
        "/api/v1/routes",
        "what each route did in the last minute; ?from=, to=; ?all=1 since the start",
        spans.Routes,
        _get(json_of(spans.RoutesAnswer), _ERRORS, _FROM, _TO, _SINCE_START),
        is_private=True,
    ),
    Endpoint(
        "/api/v1/workers",
        "what each worker did in the last minute; ?from=, to=, pid=",
        spans.Workers,
        _get(json_of(spans.WorkersAnswer), _ERRORS, _FROM, _TO, _PID),
        is_private=True,
    ),
    Endpoint(
        "/api/v1/pins",
        "the last fifteen minutes of pinned metrics; PUT and DELETE pin ?key=",
        PinsResource,
        {
            "get": Operation({200: json_of(PinsAnswer)}, _ERRORS),
            "put": Operation({204: {}}, (400, 403, 409, 414, 503), (_KEY_OF_PIN,), scope=Scope.ADMIN),
            "delete": Operation({204: {}}, (400, 403, 414, 503), (_KEY_OF_PIN,), scope=Scope.ADMIN),
        },
        is_private=True,
    ),
    Endpoint(
        "/metrics",
        "all numbers for Prometheus",
        metrics.Metrics,
        _get(_METRICS, _ERRORS, _NAMES),
    ),
    Endpoint(
        "/api/v1/stacks",
        "where each thread of the workers is in its code; ?pid=",
        Stacks,
        _get(json_of(StacksAnswer), (400, 404, 406), _PID),
        admin_only=True,
        scope=Scope.ADMIN,
    ),
    Endpoint(
        "/ws",
        "the numbers as they change, by WebSocket",
        Upgrade,
        {"get": Operation({101: {}}, (400, 403, 426, 501, 503), (_DETAIL,))},
    ),
    Endpoint(
        "/jobs",
        "the newest jobs; ?status=, kind=, search=, order=, limit=, before=",
        jobs.Jobs,
        _jobs(JobPage, _STATUS, _KIND, _SEARCH, _ORDER, _limit(LIST_DEFAULT), _BEFORE),
        needs_kinds=True,
    ),
    Endpoint(
        "/jobs/kinds",
        "what kinds of job there are, and their parameters",
        jobs.Kinds,
        _jobs(KindsAnswer),
        needs_kinds=True,
    ),
    Endpoint(
        "/jobs/submit",
        "POST a job, or many",
        jobs.Submit,
        {"post": Operation({202: json_of(SubmitAnswer)}, (*_BODY_ERRORS, 429), (_KEY,), body_schema, scope=Scope.JOBS)},
        needs_kinds=True,
    ),
    Endpoint(
        "/jobs/query",
        "these jobs: POST a list of ids, or all, status, limit; GET ?all=true",
        job_sets.Query,
        {
            **_jobs(QueryAnswer, _ALL, _STATUS, _limit(LIST_MAX)),
            "post": Operation({200: json_of(QueryAnswer)}, _BODY_ERRORS, body=lambda kinds: job_sets.QUERY.schema()),
        },
        needs_kinds=True,
    ),
    Endpoint(
        "/jobs/cancel",
        "POST a list of ids, or all or status: cancel these jobs",
        job_sets.CancelMany,
        {
            "post": Operation(
                {200: json_of(CancelAnswer)},
                _BODY_ERRORS,
                body=lambda kinds: job_sets.CANCEL.schema(),
                scope=Scope.JOBS,
            )
        },
        needs_kinds=True,
    ),
    Endpoint(
        "/jobs/progress/{job_id}",
        "how far one job is",
        partial(job_views.JobView, view=progress_of),
        _jobs(ProgressAnswer, _JOB),
        needs_kinds=True,
    ),
    Endpoint(
        "/jobs/logs/{job_id}",
        "what happened to one job, and what it printed last",
        job_views.JobLogs,
        {
            "get": Operation(
                {200: {**json_of(LogsAnswer), **_TEXT}, 206: _TEXT}, (*_JOB_ERRORS, 416), (_JOB, _LINES, _RANGE)
            )
        },
        needs_kinds=True,
    ),
    Endpoint(
        "/jobs/eta/{job_id}",
        "when one job will be done",
        partial(job_views.JobView, view=eta_of),
        _jobs(EtaAnswer, _JOB),
        needs_kinds=True,
    ),
    Endpoint("/jobs/{job_id}", "one job", jobs.OneJob, _jobs(JobAnswer, _JOB), needs_kinds=True),
    Endpoint(
        "/jobs/{job_id}/output",
        "what it printed; ?follow=1 waits for more",
        output.JobOutput,
        {"get": Operation(_OUTPUT, (*_JOB_ERRORS, 416), (_JOB, _FOLLOW, _RANGE))},
        needs_kinds=True,
    ),
    Endpoint(
        "/jobs/{job_id}/cancel",
        "POST: cancel it",
        jobs.CancelOne,
        {
            "post": Operation(
                {200: json_of(JobAnswer), 202: json_of(JobAnswer)}, (*_JOB_ERRORS, 409), (_JOB,), scope=Scope.JOBS
            )
        },
        needs_kinds=True,
    ),
    Endpoint(
        "/jobs/{job_id}/retry",
        "POST: the same once more, as a new job",
        job_retry.Retry,
        {"post": Operation({202: json_of(JobAnswer)}, (*_JOB_ERRORS, 409, 422, 429), (_JOB, _KEY), scope=Scope.JOBS)},
        needs_kinds=True,
    ),
    Endpoint("/static/{name}", "a file of the dashboard", lambda here: Static(), listed=False, scope=Scope.NOTHING),
)


def endpoints_of(*, admin: bool) -> Sequence[Endpoint]:
    """Those that the admin address serves, or those that the service's does; with the list of them, and a document."""
    endpoints: list[Endpoint] = []

    def index(here: Here) -> resources.Index:
        return resources.Index(here, {endpoint.path: endpoint.about for endpoint in endpoints if endpoint.listed})

    def document(here: Here) -> openapi.Document:
        return openapi.Document(here, endpoints)

    endpoints += [
        Endpoint("/", "what there is; the dashboard, for browsers", index, _get(_PAGE, _ERRORS), scope=Scope.NOTHING),
        *(endpoint for endpoint in ENDPOINTS if admin or not endpoint.admin_only),
        Endpoint(
            "/openapi.json",
            "this API, as an OpenAPI document",
            document,
            _get(_DOCUMENT, (*_ERRORS, 403)),
            is_private=True,
        ),
    ]
    return endpoints
