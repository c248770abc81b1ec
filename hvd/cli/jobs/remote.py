"""The jobs of a running daemon over HTTP: what the commands of `hvd jobs` do is made of this."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from hvd.cli.client import Address, Answer, bearer, exchange
from hvd.errors import DaemonRefused, DaemonUnreachable
from hvd.jobs.submission import JOBS_MAX

Json = dict[str, Any]

_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]+/[0-9]+")
_ERRORS_MAX = 50  # lines of what was wrong with a body


class Piece(NamedTuple):
    """A part of what a job printed: the number of its first byte, and the status that the job had before the read."""

    start: int
    data: bytes
    status: str


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_jobs(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(job, dict) and _is_text(job.get("id")) for job in value)


Marks = Mapping[str, Callable[[object], bool]]
"""Fields by which hvd's answer is told from another service's JSON, each with what is true of its value."""

_JOB: Marks = {"id": _is_text}


class Remote:
    """The jobs of one daemon. Every method raises DaemonUnreachable, and DaemonRefused with what the daemon said.

    The address's token goes with what changes something; with the rest only where it is asked for.
    """

    def __init__(self, address: Address, timeout: float) -> None:
        self._address = address
        self._timeout = timeout

    def submit(self, body: object, key: str | None = None) -> Json:
        """Submit what the body asks for; gives the daemon's answer, which lists what it rejected too."""
        headers: dict[str, str | bytes] = {"Idempotency-Key": key} if key is not None else {}
        return self._ask("POST", "/jobs/submit", {"job_ids": _are_texts}, body, headers | self._authorization())

    def kinds(self) -> Json:
        """The declared kinds by name, each with its parameters."""
        kinds: Json = self._ask("GET", "/jobs/kinds", {"kinds": _is_object})["kinds"]
        return kinds

    def page(
        self,
        statuses: Sequence[str],
        kinds: Sequence[str],
        limit: int,
        before: str | None,
        search: str | None = None,
        order: str | None = None,
    ) -> Json:
        """A page of the newest jobs, or of another order, as the daemon answers it."""
        of = {"status": ",".join(statuses), "kind": ",".join(kinds), "search": search}
        filters = {**of, "limit": limit, "before": before, "order": order}
        query = urlencode({name: value for name, value in filters.items() if value})
        return self._ask("GET", f"/jobs?{query}", {"jobs": _are_jobs})

    def get(self, job_id: str) -> Json:
        """One job."""
        return self._ask("GET", f"/jobs/{quote(job_id, safe='')}", _JOB)

    def output(self, job_id: str, start: int | None = None) -> Piece:
        """What the job has printed by now, as far as it is kept.

        From byte `start` on, where that is given: then only some of it, and the daemon waits a moment for more.
        """
        path, headers = f"/jobs/{quote(job_id, safe='')}/output", {"Accept": "text/plain"}
        if start is not None:
            path, headers = f"{path}?follow=1", {**headers, "Range": f"bytes={start}-"}
        answer = exchange(self._address, "GET", path, self._timeout, headers=headers)
        if answer.status >= 400:
            raise _refusal(answer)
        part = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if "Hvd-Job-Status" not in answer.headers or (answer.status == 206 and part is None):
            raise answer.not_hvd(lacks="the output of a job")
        return Piece(int(part[1]) if part else 0, answer.body, answer.headers["Hvd-Job-Status"])

    def query(self, ids: Sequence[str]) -> tuple[list[Json], list[str]]:
        """The jobs of these ids, and the ids that no job has."""
        marks: Marks = {"jobs": _are_jobs, "unknown": _are_texts}
        answers = [self._ask("POST", "/jobs/query", marks, {"ids": lot}) for lot in _lots(ids)]
        return _joined(answers, "jobs"), _joined(answers, "unknown")

    def cancel(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Cancel these jobs; gives the ids by what became of them: "cancelled", "cancelling", "ended", "unknown"."""
        marks = dict.fromkeys(("cancelled", "cancelling", "ended", "unknown"), _are_texts)
        headers = self._authorization()
        answers = [self._ask("POST", "/jobs/cancel", marks, {"ids": lot}, headers) for lot in _lots(ids)]
        return {outcome: _joined(answers, outcome) for outcome in marks}

    def retry(self, job_id: str, key: str | None = None) -> Json:
        """Have the same job done once more -> the new one."""
        headers: dict[str, str | bytes] = {"Idempotency-Key": key} if key is not None else {}
        path = f"/jobs/{quote(job_id, safe='')}/retry"
        return self._ask("POST", path, _JOB, headers=headers | self._authorization())

    def _authorization(self) -> dict[str, str | bytes]:
        return bearer(self._address.token)

    def _ask(
        self,
        method: str,
        path: str,
        marks: Marks,
        body: object = None,
        headers: dict[str, str | bytes] | None = None,
    ) -> Json:
        answer = exchange(self._address, method, path, self._timeout, body=body, headers=headers)
        fields = answer.object()
        if answer.status >= 400:
            raise _refusal(answer)
        for name, is_ours in marks.items():
            if not is_ours(fields.get(name)):
                raise answer.not_hvd(lacks=f"hvd's {name}")
        return fields


def errors_of(answer: Json) -> list[str]:
    """What an answer says was wrong, a line each, with the place in the body."""
    errors = answer.get("errors")
    errors = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    lines = [": ".join(str(error[name]) for name in ("pointer", "detail") if error.get(name)) for error in errors]
    if len(lines) > _ERRORS_MAX:
        lines[_ERRORS_MAX:] = [f"... and {len(lines) - _ERRORS_MAX} more"]
    return lines


def _refusal(answer: Answer) -> DaemonRefused | DaemonUnreachable:
    """The error that tells of it; a fault of the daemon's, which may be over soon, is no refusal."""
    status, fields = answer.status, answer.object()
    if status in (404, 405) and "detail" not in fields:
        return answer.not_hvd()
    if status in (401, 403, 500, 502, 504):
        return answer.refusal()
    detail = fields.get("detail") or fields.get("title") or "it does not say why"
    lines = errors_of(fields)
    # The detail of a body with one mistake is that mistake.
    beside = [f"  {line}" for line in lines if len(lines) > 1]
    return DaemonRefused("\n".join([f"{answer.url} refused ({status}): {detail}", *beside]), status)


def _lots(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """As many at once as a daemon takes."""
    return (ids[start : start + JOBS_MAX] for start in range(0, len(ids), JOBS_MAX))


def _joined(answers: Iterable[Json], member: str) -> list[Any]:
    return [item for answer in answers for item in answer[member]]
