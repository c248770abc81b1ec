"""`/jobs/query` and `/jobs/cancel`: many jobs at once, by their ids or by what they are."""

import time
from typing import TYPE_CHECKING, Any

import falcon

from hvd.jobs.answers import CancelAnswer, QueryAnswer
from hvd.jobs.selection import Rules, Selection, check_selection
from hvd.jobs.states import OPEN, STATUSES
from hvd.jobs.submission import LIST_MAX
from hvd.texts import rfc3339
from hvd.web.job_requests import json_body, query_body
from hvd.web.jobs import Resource, answer_json, refusal

if TYPE_CHECKING:
    from hvd.jobs.service import JobService

CANCEL_MAX = 10_000  # jobs in one answer: as many as may wait where jobs.queue_limit is not set

QUERY = Rules(STATUSES, LIST_MAX, LIST_MAX, names_set=False)
CANCEL = Rules(OPEN, CANCEL_MAX, CANCEL_MAX, names_set=True)

_WHY = {"ended": "the job had ended already", "unknown": "no job has this id"}


class Query(Resource):
    """`/jobs/query`: the jobs of a list of ids, or the newest of some statuses. POST changes nothing."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        service = self.service(req)
        self._answer(resp, service, query_body(req))

    on_head = on_get

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        service = self.service(req)
        self._answer(resp, service, json_body(req))

    def _answer(self, resp: falcon.Response, service: "JobService", body: Any) -> None:
        selection = _selection(body, QUERY)
        find = _newest if selection.is_filter else _find
        answer_json(resp, 200, find(service, selection))


class CancelMany(Resource):
    """`/jobs/cancel`: cancel jobs, and say what became of each."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        service = self.service(req)
        selection = _selection(json_body(req), CANCEL)
        cancel = _cancel_open if selection.is_filter else _cancel
        answer_json(resp, 200, cancel(service, selection))


def _selection(body: Any, rules: Rules) -> Selection:
    """What the body selects. Raises ProblemError."""
    selection = check_selection(body, rules)
    if selection.problems:
        raise refusal(selection.problems)
    return selection


def _find(service: "JobService", selection: Selection) -> QueryAnswer:
    jobs = {job.id: job.as_dict() for job in (service.find(selection.ids) if selection.ids else [])}
    answers = [jobs[job_id] for job_id in selection.ids if job_id in jobs]
    unknown = [job_id for job_id in selection.ids if job_id not in jobs] + selection.malformed
    return {"jobs": answers, "unknown": unknown, "total": len(answers), "next": None, "timestamp": _now()}


def _newest(service: "JobService", selection: Selection) -> QueryAnswer:
    newest = service.newest(selection.statuses, [], selection.limit + 1, None)
    page = newest[: selection.limit]
    last = page[-1].id if len(newest) > len(page) else None
    jobs = [job.as_dict() for job in page]
    return {"jobs": jobs, "unknown": [], "total": len(jobs), "next": last, "timestamp": _now()}


def _cancel(service: "JobService", selection: Selection) -> CancelAnswer:
    outcomes: dict[str, list[str]] = {"cancelled": [], "cancelling": [], "ended": [], "unknown": []}
    cancellations = service.cancel(selection.ids) if selection.ids else {}
    for job_id in selection.ids:
        outcomes[cancellations[job_id].outcome].append(job_id)
    outcomes["unknown"] += selection.malformed
    return _cancel_answer(outcomes, 0)


def _cancel_open(service: "JobService", selection: Selection) -> CancelAnswer:
    cancelled, cancelling, remaining = service.cancel_open(selection.statuses or OPEN, selection.limit)
    outcomes: dict[str, list[str]] = {"cancelled": cancelled, "cancelling": cancelling, "ended": [], "unknown": []}
    return _cancel_answer(outcomes, remaining)


def _cancel_answer(outcomes: dict[str, list[str]], remaining: int | None) -> CancelAnswer:
    return {
        "cancelled": outcomes["cancelled"],
        "cancelling": outcomes["cancelling"],
        "ended": outcomes["ended"],
        "unknown": outcomes["unknown"],
        "failed": outcomes["ended"] + outcomes["unknown"],
        "errors": {job_id: why for outcome, why in _WHY.items() for job_id in outcomes[outcome]},
        "total": len(outcomes["cancelled"]) + len(outcomes["cancelling"]),
        "remaining": remaining,
        "timestamp": _now(),
    }


def _now() -> str:
    return rfc3339(time.time_ns())
