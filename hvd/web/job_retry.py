"""`/jobs/{job_id}/retry`: the same work once more, as a new job."""

from typing import TYPE_CHECKING

import falcon

from hvd.jobs.states import OPEN
from hvd.jobs.submission import SubmissionKey, check_submission
from hvd.web.job_requests import idempotency_key
from hvd.web.jobs import REPLAYED, Resource, answer_json, job_of, refusal
from hvd.web.problem import ProblemError

if TYPE_CHECKING:
    from hvd.jobs.job import Json
    from hvd.jobs.service import JobService


class Retry(Resource):
    """A new job of the same kind, name and parameters, which are checked as those of a submission are: 202 with it."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        service = self.service(req)
        key_text = idempotency_key(req)
        key = SubmissionKey.of(key_text, {"retry": job_id}) if key_text else None
        answer, is_replay = service.earlier_answer(key) if key else None, True
        if answer is None:
            answer, is_replay = _submit(service, job_id, key)
        if is_replay:
            resp.set_header(REPLAYED, "true")
        new = job_of(service, answer["job_ids"][0])
        answer_json(resp, 202, new.as_dict())


def _submit(service: "JobService", job_id: str, key: SubmissionKey | None) -> "tuple[Json, bool]":
    """The answer to a submission of the same job, and whether it was given before. Raises falcon.HTTPError."""
    job = job_of(service, job_id)
    if job.status in OPEN:
        raise ProblemError(409, f"The job is {job.status}: only one that has ended is retried.", job=job.as_dict())
    submission = check_submission({"kind": job.kind, "params": job.params, "name": job.name}, service.kinds)
    if not submission.jobs:
        raise refusal(submission.problems)
    again = [new._replace(retry_of=job_id) for new in submission.jobs]
    answer, _, is_replay = service.submit(submission._replace(jobs=again), key)
    return answer, is_replay
