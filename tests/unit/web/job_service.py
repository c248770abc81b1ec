"""A job service that keeps its jobs in a dict, and a client of an app that has it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from falcon import testing

from hvd.errors import KeyConflict
from hvd.jobs.ids import new_id
from hvd.jobs.job import Cancellation, NewJob
from hvd.jobs.listing import Page, Place, Wanted
from hvd.jobs.service import CancelledSet
from hvd.jobs.submission import Receipt, Submission, SubmissionKey
from hvd.jobs.transcript import Transcript
from hvd.json_schemas import Problem
from hvd.web.app import create_app
from tests.unit.web import asking

Json = dict[str, Any]
GOOD = {"kind": "checksum", "params": {"file": "/a"}}


class FakeJob:
    """A job of which only id and status matter."""

    def __init__(self, job_id: str, kind: str = "checksum", status: str = "pending") -> None:
        self.id, self.kind, self.status, self.host = job_id, kind, status, "there"
        self.name, self.params = "one", {"file": "/a"}
        self.output: list[str] = []

    def as_dict(self) -> Json:
        return {"id": self.id, "kind": self.kind, "status": self.status}


class FakeKind:
    """A kind whose only parameter is `file`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def check(self, params: Mapping[str, Any]) -> tuple[Json, list[Problem]]:
        return dict(params), [] if set(params) == {"file"} else [Problem("/file", "is missing")]

    def to_dict(self) -> Json:
        return {
            "name": self.name,
            "command": ["sha256sum", "{file}"],
            "env": {"SECRET": "x"},
            "params": {"file": {"type": "path", "roots": ["/srv/secret"]}},
        }


class FakeJobService:
    """A job service without a database; every call raises `error`, where there is one."""

    def __init__(self) -> None:
        self.kinds = {name: FakeKind(name) for name in ("checksum", "convert")}
        self.jobs: dict[str, FakeJob] = {}
        self.answers: dict[str, tuple[str, Json]] = {}
        self.answers_of_others: dict[str, Json] = {}  # of keys that were free a moment ago
        self.error: Exception | None = None
        self.refusal: Exception | None = None  # of submissions alone
        self.submitted: list[NewJob] = []
        self.wanted: list[Wanted] = []
        self.filters: list[Any] = []
        self.outputs: Path | None = None  # of jobs of this machine

    def _fail(self) -> None:
        if self.error:
            raise self.error

    def add(self, status: str = "pending", kind: str = "checksum") -> str:
        job = FakeJob(new_id(), kind, status)
        self.jobs[job.id] = job
        return job.id

    def earlier_answer(self, key: SubmissionKey) -> Json | None:
        self._fail()
        earlier = self.answers.get(key.text)
        if earlier and earlier[0] != key.fingerprint:
            raise KeyConflict("the key was used for another submission")
        return earlier[1] if earlier else None

    def submit(self, submission: Submission, key: SubmissionKey | None) -> Receipt:
        self._fail()
        if self.refusal:
            raise self.refusal
        self.submitted += submission.jobs
        ids = [self.add(kind=job.kind.name) for job in submission.jobs]
        errors = [problem._asdict() for problem in submission.problems]
        answer = {"job_ids": ids, "accepted": len(ids), "rejected": submission.rejected, "errors": errors}
        if key and key.text in self.answers_of_others:
            return Receipt(self.answers_of_others[key.text], [], is_replay=True)
        if key:
            self.answers[key.text] = key.fingerprint, answer
        return Receipt(answer, [], is_replay=False)

    def get(self, job_id: str) -> FakeJob | None:
        self._fail()
        return self.jobs.get(job_id)

    def find(self, ids: Sequence[str]) -> list[FakeJob]:
        self._fail()
        assert ids
        return [self.jobs[job_id] for job_id in sorted(ids) if job_id in self.jobs]

    def newest(self, statuses: Sequence[str], kinds: Sequence[str], limit: int, before: str | None) -> list[FakeJob]:
        self._fail()
        self.filters.append((statuses, kinds, limit, before))
        jobs = [job for job in self.jobs.values() if before is None or job.id < before]
        return sorted(jobs, key=lambda job: job.id, reverse=True)[:limit]

    def page(self, wanted: Wanted) -> Page:
        self._fail()
        self.wanted.append(wanted)
        jobs: Any = sorted(self.jobs.values(), key=lambda job: job.id, reverse=True)
        jobs = [job for job in jobs if wanted.after is None or job.id < wanted.after.job_id]
        shown = jobs[: wanted.limit]
        last = Place.of(shown[-1], wanted.order) if len(jobs) > wanted.limit else None
        return Page(shown, last, len(self.jobs))

    def output(self, job: FakeJob) -> Transcript | None:
        self._fail()
        return Transcript.open(self.outputs, job.id) if self.outputs else None

    def is_elsewhere(self, job: FakeJob) -> bool:
        return self.outputs is None

    def cancel(self, ids: Sequence[str]) -> dict[str, Cancellation]:
        self._fail()
        assert ids
        words = {"pending": "cancelled", "running": "cancelling"}
        jobs: dict[str, Any] = {job_id: self.jobs.get(job_id) for job_id in ids}
        return {
            name: Cancellation(words.get(job.status, "ended") if job else "unknown", job) for name, job in jobs.items()
        }

    def cancel_open(self, statuses: Sequence[str], most: int) -> CancelledSet:
        self._fail()
        wanted = [job for status in ("pending", "running") for job in self.jobs.values() if job.status == status]
        wanted = [job for job in wanted if job.status in statuses]
        by_status: dict[str, list[str]] = {"pending": [], "running": []}
        for job in wanted[:most]:
            by_status[job.status].append(job.id)
            job.status = "cancelled"
        return CancelledSet(by_status["pending"], by_status["running"], len(wanted[most:]))


class Client:
    """A client of an app with that job service."""

    def __init__(self, service: FakeJobService | None, bind: str = "127.0.0.1:8080", token: str = "") -> None:
        settings = replace(asking.settings(bind, token), threads=4)
        here: Any = SimpleNamespace(parts=SimpleNamespace(jobs=service, settings=settings))
        self._client = testing.TestClient(create_app(here))

    def get(self, path: str, **headers: str) -> testing.Result:
        return self._client.simulate_get(path, headers=_named(headers))

    def head(self, path: str) -> testing.Result:
        return self._client.simulate_head(path)

    def post(self, path: str, body: object = None, **headers: Any) -> testing.Result:
        return self.send(path, json.dumps(body).encode(), **{"Content-Type": "application/json"} | headers)

    def send(self, path: str, data: bytes, extras: Json | None = None, **headers: Any) -> testing.Result:
        return self._client.simulate_post(path, body=data, headers=_named(headers), extras=extras)


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def problem_of(result: testing.Result, status: int) -> Json:
    """The problem that was answered; it says what is wrong."""
    assert result.status_code == status, result.text
    assert result.headers["content-type"] == "application/problem+json"
    assert result.json["status"] == status
    assert result.json["detail"]
    answer: Json = result.json
    return answer
