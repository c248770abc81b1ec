"""A job as it is answered and announced."""

from dataclasses import replace
from typing import Any

import pytest

from hvd.jobs.job import Job
from hvd.read.jobs import job_for_clients

ENDED = Job(
    id="01a2104a-0000-7000-8000-000000000000",
    kind="plain",
    name="one",
    params={},
    status="failed",
    progress=50.0,
    attempt=1,
    retries=0,
    backoff=1.0,
    created=1000.0,
    updated=1011.0,
    started=1000.5,
    ended=1010.75,
    exit_code=1,
    error="exit status 1",
    host="here",
    revision=3,
)


@pytest.mark.parametrize(
    ("started", "ended", "duration"), [(1.0, 3.5, 2.5), (None, 3.5, None), (1.0, None, None), (4.0, 3.5, 0.0)]
)
def test_a_duration_has_a_start_and_an_end(started: float | None, ended: float | None, duration: float | None) -> None:
    """And is never negative, whatever a clock does."""
    assert replace(ENDED, started=started, ended=ended).duration == duration


def test_a_job_that_runs_lasts_until_the_time_that_it_is_looked_at() -> None:
    """By itself, until it changed last."""
    running = replace(ENDED, status="running", ended=None)
    assert running.as_recent(1002.5)["duration_seconds"] == 2.0
    assert running.as_recent()["duration_seconds"] == 10.5
    assert ENDED.as_recent(2000.0)["duration_seconds"] == 10.25
    assert replace(running, started=None).as_recent(1002.5)["duration_seconds"] is None
    assert replace(running, read_at=1004.5).as_dict()["duration_seconds"] == 4.0


@pytest.mark.parametrize(
    "changes",
    [{}, {"status": "pending", "started": None, "ended": None, "error": ""}, {"status": "running", "ended": None}],
)
def test_clients_need_not_ask_before_they_format_an_answer(changes: dict[str, Any]) -> None:
    """Numbers, times and texts are of one type at every moment, and say the same as in messages."""
    job = replace(ENDED, **changes)
    answer, message = job.as_dict(), job_for_clients(job.as_recent())
    for name in ("duration_seconds", "start_time", "end_time", "provider", "vm_name", "error_msg"):
        assert answer[name] == message[name]  # type: ignore[literal-required]
    assert isinstance(answer["duration_seconds"], float)
    assert answer["start_time"].endswith("Z")
    assert (answer["provider"], answer["vm_name"]) == ("plain", "one")


def test_what_a_job_has_not_is_null_in_its_answer() -> None:
    """Texts too."""
    assert (ENDED.as_dict()["error"], ENDED.as_dict()["host"]) == ("exit status 1", "here")
    assert ENDED.as_dict()["started_at"] == "1970-01-01T00:16:40.500Z"
    pending = replace(ENDED, started=None, ended=None, error="", host="", exit_code=None).as_dict()
    assert {pending[name] for name in ("error", "host", "started_at", "ended_at", "exit_code")} == {None}
