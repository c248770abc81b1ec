"""`/jobs/progress/{job_id}`, `/jobs/eta/{job_id}`, `/jobs/logs/{job_id}`: one job, as existing clients ask for it."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import falcon

from hvd.jobs.answers import logs_of
from hvd.jobs.job import Job
from hvd.jobs.output import last_lines
from hvd.web.here import Here
from hvd.web.jobs import Resource, answer_json, job_of
from hvd.web.output import JobOutput, is_lost
from hvd.web.resources import negotiate

if TYPE_CHECKING:
    from hvd.jobs.service import JobService

LOG_LINES = 1000  # lines of output in one answer of /jobs/logs/{id}
LOG_BYTES = 256 * 1024  # of output that they are taken from


class JobView(Resource):
    """`/jobs/progress/{job_id}`, `/jobs/eta/{job_id}`: what `view` makes of one job."""

    def __init__(self, here: Here, view: Callable[[Job], Mapping[str, Any]]) -> None:
        super().__init__(here)
        self._view = view

    def on_get(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        answer_json(resp, 200, self._view(job_of(self.service(req), job_id)))

    on_head = on_get


class JobLogs(JobOutput):
    """`/jobs/logs/{job_id}`: the job's events and its last lines as JSON; as text, all of its output, as
    /jobs/{job_id}/output has it.
    """

    def on_get(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        if negotiate(req, [falcon.MEDIA_JSON, falcon.MEDIA_TEXT]) == falcon.MEDIA_TEXT:
            super().on_get(req, resp, job_id)
        else:
            service = self.service(req)
            most = req.get_param_as_int("lines", min_value=1, max_value=LOG_LINES, default=LOG_LINES)
            job = job_of(service, job_id)
            lines, is_complete = _lines(service, job, most)
            answer_json(resp, 200, logs_of(job, lines, is_complete=is_complete))
        resp.append_header("Vary", "Accept")


def _lines(service: "JobService", job: Job, most: int) -> tuple[list[str], bool]:
    """The last lines of the last attempt's output, at most so many, and whether these are all lines of all attempts."""
    transcript = service.output(job)
    if transcript is None:
        return job.output[-most:], not is_lost(service, job)
    with transcript:
        extent = transcript.look()
        lines = last_lines(transcript.end(LOG_BYTES), most).splitlines()
    is_all = not extent.begun and extent.total <= LOG_BYTES and extent.first == extent.last
    return lines, is_all and len(lines) < most
