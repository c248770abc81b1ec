"""The jobs of a running daemon, asked for over HTTP: what the command line does is made of this."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from hvd.cli.client import Address, exchange, fetch, json_object
from hvd.errors import DaemonRefused, DaemonUnreachable
from hvd.jobs.bodies import JOBS_MAX

Json = dict[str, Any]

_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]+/[0-9]+")
_ERRORS_MAX = 50  # lines of what was wrong with a body


class Piece(NamedTuple):
    """A part of what a job printed: the number of its first byte, and how the job was before that was read."""

    start: int
    data: bytes
    status: str


class Remote:
    """One daemon. Everything raises DaemonUnreachable, and DaemonRefused with what the daemon said.

    `token` goes with what changes something, to that daemon only; "" sends none.
    """

    def __init__(self, address: Address, timeout: float, token: str = "") -> None:
        self._address = address
        self._timeout = timeout
        self._token = token

    def submit(self, body: object, key: str | None = None) -> Json:
        """Submit what the body asks for -> the daemon's answer, which tells those rejected too."""
        headers: dict[str, str | bytes] = {"Idempotency-Key": key} if key is not None else {}
        return self._ask("POST", "/jobs/submit", body, headers | self._authorization())

    def kinds(self) -> Json:
        """The declared kinds by name, each with its parameters."""
        found: Json = self._ask("GET", "/jobs/kinds").get("kinds", {})
        return found

    def page(self, statuses: Sequence[str], kinds: Sequence[str], limit: int, before: str | None) -> Json:
        """A page of the newest jobs, as the daemon answers it."""
        given = {"status": ",".join(statuses), "kind": ",".join(kinds), "limit": limit, "before": before}
        return self._ask("GET", f"/jobs?{urlencode({name: value for name, value in given.items() if value})}")

    def get(self, job_id: str) -> Json:
        """One job."""
        return self._ask("GET", f"/jobs/{quote(job_id, safe='')}")

    def output(self, job_id: str) -> bytes:
        """What the job has printed by now, as far as it is kept."""
        return self._output(job_id, "", {}).data

    def output_from(self, job_id: str, start: int) -> Piece:
        """What it printed from that byte on, some of it; the daemon waits a moment for more."""
        return self._output(job_id, "?follow=1", {"Range": f"bytes={start}-"})

    def _output(self, job_id: str, query: str, headers: dict[str, str | bytes]) -> Piece:
        path = f"/jobs/{quote(job_id, safe='')}/output{query}"
        wanted = {"Accept": "text/plain", **headers}
        status, answered, data = fetch(self._address, "GET", path, self._timeout, headers=wanted)
        if status >= 400:
            raise DaemonRefused(_refusal(status, json_object(data) or {}), status)
        part = _RANGE.fullmatch(answered.get("Content-Range", ""))
        if "Hvd-Job-Status" not in answered or (status == 206 and part is None):
            raise DaemonUnreachable(f"{self._address.url} is not hvd: GET {path} gave no output of a job")
        return Piece(int(part[1]) if part else 0, data, answered["Hvd-Job-Status"])

    def query(self, ids: Sequence[str]) -> tuple[list[Json], list[str]]:
        """The jobs of these ids, and the ids that no job has."""
        answers = [self._ask("POST", "/jobs/query", {"ids": some}) for some in _lots(ids)]
        return _joined(answers, "jobs"), _joined(answers, "unknown")

    def cancel(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Cancel these jobs -> what became of each: the ids by "cancelled", "cancelling", "ended", "unknown"."""
        answers = [self._ask("POST", "/jobs/cancel", {"ids": some}, self._authorization()) for some in _lots(ids)]
        return {outcome: _joined(answers, outcome) for outcome in ("cancelled", "cancelling", "ended", "unknown")}

    def _authorization(self) -> dict[str, str | bytes]:
        return {"Authorization": f"Bearer {self._token}".encode()} if self._token else {}

    def _ask(self, method: str, path: str, body: object = None, headers: dict[str, str | bytes] | None = None) -> Json:
        status, answer = exchange(self._address, method, path, self._timeout, body=body, headers=headers)
        if status >= 400:
            raise DaemonRefused(_refusal(status, answer), status)
        return answer


def errors_of(answer: Json) -> list[str]:
    """What an answer says was wrong, a line each, with the place in the body."""
    errors = answer.get("errors")
    errors = [each for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []
    lines = [": ".join(str(each[member]) for member in ("pointer", "detail") if each.get(member)) for each in errors]
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
    return [each for answer in answers for each in answer.get(member, [])]
