"""`/jobs`: submit, read and cancel jobs. gate.py checks the caller, hvd/jobs/submission.py the form.

Nothing here loads the database's library: the job service does, which a worker has only where kinds of job are
declared.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import falcon

from hvd.errors import JobsError, KeyConflict, QueueFull
from hvd.jobs.ids import is_id
from hvd.jobs.job import Job
from hvd.jobs.strict_json import excerpt
from hvd.jobs.submission import SubmissionKey, check_submission
from hvd.json_schemas import Problem
from hvd.settings.table import Settings
from hvd.texts import rfc3339
from hvd.web.here import Here
from hvd.web.job_requests import idempotency_key, json_body, listing
from hvd.web.problem import ProblemError
from hvd.web.resources import negotiate

if TYPE_CHECKING:
    from hvd.jobs.service import JobService

log = logging.getLogger("hvd.web")

REPLAYED = "Idempotent-Replayed"  # an answer's header: it is that to an earlier request with the same key
QUEUE_RETRY = 5  # s after which a full queue may have room
STORE_RETRY = 10  # s after which a database may be back
QUIET = 10.0  # s between two log lines of the same text
_TEXTS_MAX = 10  # different texts in that time


class Resource:
    """An endpoint of the jobs."""

    def __init__(self, here: Here) -> None:
        self._here = here

    @property
    def settings(self) -> Settings:
        return self._here.parts.settings

    def service(self, req: falcon.Request, *, offered: str = falcon.MEDIA_JSON) -> "JobService":
        """What takes jobs. Raises falcon.HTTPError where there is none, and for a client that doesn't take what is
        offered.
        """
        service = self._here.parts.jobs
        if service is None:
            raise falcon.HTTPNotFound(description="No kinds of job are declared: see [jobs.kinds] in hvd.toml.")
        negotiate(req, [offered])
        return service


class Jobs(Resource):
    """`/jobs`: the newest jobs, or what is open first; filtered and paged."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        service = self.service(req)
        page = service.page(listing(req))
        jobs = [job.as_dict() for job in page.jobs]
        answer_json(resp, 200, {"jobs": jobs, "next": str(page.next) if page.next else None, "total": page.total})

    on_head = on_get


class Kinds(Resource):
    """`/jobs/kinds`: what may be submitted. Commands, environments and folders are the operator's business."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        kinds = self.service(req).kinds
        public = {name: {"params": _public(kind.to_dict()["params"])} for name, kind in kinds.items()}
        answer_json(resp, 200, {"kinds": public})

    on_head = on_get


class Submit(Resource):
    """`/jobs/submit`: one job, or many."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        service = self.service(req)
        key_text, body = idempotency_key(req), json_body(req)
        key = SubmissionKey.of(key_text, body) if key_text else None
        answer, is_replay = service.earlier_answer(key) if key else None, True
        if answer is None:
            submission = check_submission(body, service.kinds)
            if not submission.jobs:
                raise refusal(submission.problems, job_ids=[], accepted=0, rejected=submission.rejected)
            answer, _, is_replay = service.submit(submission, key)
        if is_replay:
            resp.set_header(REPLAYED, "true")
        # an answer that an older hvd has kept has no timestamp
        answer_json(resp, 202, {"timestamp": rfc3339(time.time_ns()), **answer})


class OneJob(Resource):
    """`/jobs/{job_id}`: all of one job."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        answer_json(resp, 200, job_of(self.service(req), job_id).as_dict())

    on_head = on_get


class CancelOne(Resource):
    """`/jobs/{job_id}/cancel`: 200 when it was pending, 202 when it runs and has to end."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        service = self.service(req)
        outcome, job = service.cancel([job_id])[job_id] if is_id(job_id) else ("unknown", None)
        if job is None:
            raise unknown(job_id)
        if outcome == "ended":
            raise ProblemError(409, f"The job is {job.status} already: nothing is left to cancel.", job=job.as_dict())
        answer_json(resp, 200 if outcome == "cancelled" else 202, job.as_dict())


class Failures:
    """Falcon's handler of a JobsError: an answer, and a log line where an operator has to do something.

    While a database is down every request fails: a text is logged again only after `QUIET` seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._said: dict[str, float] = {}

    def __call__(self, req: falcon.Request, resp: falcon.Response, error: JobsError, params: Mapping[str, Any]) -> None:
        text = error.public[:1].upper() + error.public[1:]
        if isinstance(error, KeyConflict):
            raise falcon.HTTPUnprocessableEntity(description=text)
        if isinstance(error, QueueFull):
            raise falcon.HTTPTooManyRequests(description=text, retry_after=QUEUE_RETRY)
        if self._is_news(str(error)):
            log.error("jobs: %s (logged at most every %g s)", error, QUIET)
        raise falcon.HTTPServiceUnavailable(description=text, retry_after=STORE_RETRY)

    def _is_news(self, text: str) -> bool:
        now = self._clock()
        with self._lock:
            self._said = {said: when for said, when in self._said.items() if now - when < QUIET}
            if text in self._said or len(self._said) >= _TEXTS_MAX:
                return False
            self._said[text] = now
            return True


def answer_json(resp: falcon.Response, status: int, value: Mapping[str, Any]) -> None:
    """Answer with that JSON, of this moment."""
    resp.status = status
    resp.content_type = falcon.MEDIA_JSON
    resp.cache_control = ["no-store"]
    resp.data = json.dumps(value, separators=(",", ":")).encode()


def job_of(service: "JobService", job_id: str) -> Job:
    """The job of that id. Raises falcon.HTTPNotFound where there is none."""
    job = service.get(job_id) if is_id(job_id) else None
    if job is None:
        raise unknown(job_id)
    return job


def unknown(job_id: str) -> falcon.HTTPNotFound:
    """404 that names the id."""
    return falcon.HTTPNotFound(description=f"No job has the id {excerpt(job_id)}.")


def refusal(problems: Sequence[Problem], **members: Any) -> ProblemError:
    """422, with what is wrong as its `errors`, and further members."""
    first = problems[0]
    more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    errors = [problem._asdict() for problem in problems]
    return ProblemError(422, f"{first.pointer or 'The body'}: {first.detail}{more}.", **members, errors=errors)


def _public(params: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Parameters as declared, but for folders of the operator's, which the default of a path tells too."""
    public = {}
    for name, param in params.items():
        hidden = ("roots", "default") if param["type"] == "path" else ()
        declared = {key: value for key, value in param.items() if key not in hidden}
        public[name] = {**declared, "required": param.get("default") is None}
    return public
