"""The jobs of a running daemon over HTTP: what the commands of `hvd jobs` do is made of this."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from hvd.cli.client import Address, bearer, exchange
from hvd.errors import DaemonRefused
from hvd.jobs.submission import JOBS_MAX

Json = dict[str, Any]

_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]+/[0-9]+")
_ERRORS_MAX = 50  # lines of what was wrong with a body


class Piece(NamedTuple):
    """A part of what a job printed: the number of its first byte, and the status that the job had before the read."""

    start: int
    data: bytes
    status: str


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
        return self._ask("POST", "/jobs/submit", body, headers | self._authorization())

    def kinds(self) -> Json:
        """The declared kinds by name, each with its parameters."""
        kinds: Json = self._ask("GET", "/jobs/kinds").get("kinds", {})
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
        return self._ask("GET", f"/jobs?{urlencode({name: value for name, value in filters.items() if value})}")

    def get(self, job_id: str) -> Json:
        """One job."""
        return self._ask("GET", f"/jobs/{quote(job_id, safe='')}")

    def output(self, job_id: str, start: int | None = None) -> Piece:
        """What the job has printed by now, as far as it is kept.

        From byte `start` on, where that is given: then only some of it, and the daemon waits a moment for more.
        """
        path, headers = f"/jobs/{quote(job_id, safe='')}/output", {"Accept": "text/plain"}
        if start is not None:
            path, headers = f"{path}?follow=1", {**headers, "Range": f"bytes={start}-"}
        answer = exchange(self._address, "GET", path, self._timeout, headers=headers)
        if answer.status >= 400:
            raise DaemonRefused(_refusal(answer.status, answer.object()), answer.status)
        part = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if "Hvd-Job-Status" not in answer.headers or (answer.status == 206 and part is None):
            raise answer.not_hvd(lacks="the output of a job")
        return Piece(int(part[1]) if part else 0, answer.body, answer.headers["Hvd-Job-Status"])

    def query(self, ids: Sequence[str]) -> tuple[list[Json], list[str]]:
        """The jobs of these ids, and the ids that no job has."""
        answers = [self._ask("POST", "/jobs/query", {"ids": lot}) for lot in _lots(ids)]
        return _joined(answers, "jobs"), _joined(answers, "unknown")

    def cancel(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Cancel these jobs; gives the ids by what became of them: "cancelled", "cancelling", "ended", "unknown"."""
        answers = [self._ask("POST", "/jobs/cancel", {"ids": lot}, self._authorization()) for lot in _lots(ids)]
        return {outcome: _joined(answers, outcome) for outcome in ("cancelled", "cancelling", "ended", "unknown")}

    def retry(self, job_id: str, key: str | None = None) -> Json:
        """Have the same job done once more -> the new one."""
        headers: dict[str, str | bytes] = {"Idempotency-Key": key} if key is not None else {}
        path = f"/jobs/{quote(job_id, safe='')}/retry"
        return self._ask("POST", path, headers=headers | self._authorization())

    def _authorization(self) -> dict[str, str | bytes]:
        return bearer(self._address.token)

    def _ask(self, method: str, path: str, body: object = None, headers: dict[str, str | bytes] | None = None) -> Json:
        answer = exchange(self._address, method, path, self._timeout, body=body, headers=headers)
        fields = answer.object()
        if answer.status >= 400:
            raise DaemonRefused(_refusal(answer.status, fields), answer.status)
        return fields


def errors_of(answer: Json) -> list[str]:
    """What an answer says was wrong, a line each, with the place in the body."""
    errors = answer.get("errors")
    errors = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    lines = [": ".join(str(error[name]) for name in ("pointer", "detail") if error.get(name)) for error in errors]
    if len(lines) > _ERRORS_MAX:
        lines[_ERRORS_MAX:] = [f"... and {len(lines) - _ERRORS_MAX} more"]
    return lines


def _refusal(status: int, answer: Json) -> str:
    detail = answer.get("detail") or answer.get("title") or "it does not say why"
    lines = errors_of(answer)
    # The detail of a body with one mistake is that mistake.
    return "\n".join([f"the daemon refused ({status}): {detail}", *(f"  {line}" for line in lines if len(lines) > 1)])


def _lots(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """As many at once as a daemon takes."""
    return (ids[start : start + JOBS_MAX] for start in range(0, len(ids), JOBS_MAX))


def _joined(answers: Iterable[Json], member: str) -> list[Any]:
    return [item for answer in answers for item in answer.get(member, [])]
