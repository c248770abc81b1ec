"""Answers about one job: numbers at every moment, null for what nobody knows."""

from dataclasses import replace
from datetime import datetime

import pytest

from hvd.jobs.answers import eta_of, logs_of, progress_of, remaining_seconds
from hvd.jobs.job import Job

PENDING = Job(
    id="01a2104a-0000-7000-8000-000000000000",
    kind="convert",
    name="disk",
    params={},
    status="pending",
    progress=0.0,
    attempt=0,
    retries=0,
    backoff=1.0,
    created=1000.0,
    updated=1000.0,
)
SILENT = replace(PENDING, status="running", attempt=1, started=1010.0, updated=1010.0, read_at=1040.0)
RUNNING = replace(SILENT, progress=25.0, output=["a", "25 %"])
FAILED = replace(RUNNING, status="failed", ended=1050.0, error="exit status 1", read_at=None)
ALL = (PENDING, SILENT, RUNNING, FAILED)


@pytest.mark.parametrize(
    ("job", "seconds"),
    [
        (PENDING, None),
        (SILENT, None),
        (RUNNING, 90.0),
        (replace(RUNNING, progress=100.0), 0.0),
        (replace(RUNNING, progress=0.001), 2_999_970.0),
        (FAILED, 0.0),
    ],
)
def test_the_time_left_is_that_of_what_is_left(job: Job, seconds: float | None) -> None:
    """30 s for a quarter leave 90 s."""
    assert remaining_seconds(job) == seconds
    assert eta_of(job)["eta_seconds"] == seconds
    assert eta_of(job)["eta"]["time_remaining_seconds"] == seconds


def test_numbers_are_numbers_at_every_moment() -> None:
    """Clients format them without asking."""
    for job, elapsed in zip(ALL, (0.0, 30.0, 30.0, 40.0), strict=True):
        progress, eta = progress_of(job), eta_of(job)
        assert (progress["elapsed_seconds"], eta["eta"]["elapsed_seconds"]) == (elapsed, elapsed)
        assert progress["percent_complete"] == progress["progress"]["percent_complete"] == job.progress
        assert {progress["status"], eta["status"], progress["progress"]["phase"]} == {job.status}
        assert {progress["id"], progress["job_id"], eta["id"], eta["job_id"]} == {job.id}
        for text in (progress["timestamp"], eta["timestamp"]):
            assert datetime.fromisoformat(text).tzinfo


def test_what_is_known_is_said_in_words_too() -> None:
    """The last line is the step; how long it takes is told as people read it."""
    assert progress_of(RUNNING)["progress"]["current_step"] == "25 %"
    assert (
        progress_of(RUNNING)["progress"]["estimated_remaining"] == eta_of(RUNNING)["eta"]["time_remaining"] == "1m 30s"
    )
    assert progress_of(SILENT)["progress"]["current_step"] == ""
    assert [eta_of(job)["eta"]["message"] for job in ALL] == [
        "the job has not started yet",
        "the job has not said yet how far it is",
        "",
        "the job is failed",
    ]
    assert (progress_of(FAILED)["error"], progress_of(RUNNING)["error"]) == ("exit status 1", "")


def test_an_end_is_estimated_or_known() -> None:
    """Never beyond what a date can say."""
    assert eta_of(FAILED)["eta"]["estimated_completion"] == "1970-01-01T00:17:30.000Z"
    assert eta_of(SILENT)["eta"]["estimated_completion"] is None
    assert eta_of(RUNNING)["eta"]["estimated_completion"]
    endless = replace(RUNNING, progress=0.01, started=1.0, read_at=1e9)
    assert str(eta_of(endless)["eta"]["estimated_completion"]).startswith("9999-12-31")


def test_logs_have_a_life_and_its_lines() -> None:
    """In order, each with what it is."""
    answer = logs_of(FAILED, ["a", "b"], is_complete=False)
    assert [(entry["source"], entry["level"], entry["message"]) for entry in answer["logs"]] == [
        ("hvd", "info", "job created: convert"),
        ("hvd", "info", "job started, attempt 1"),
        ("output", "info", "a"),
        ("output", "info", "b"),
        ("hvd", "error", "job failed: exit status 1"),
    ]
    assert (answer["log_count"], answer["is_complete"]) == (5, False)
    assert [entry["timestamp"] for entry in answer["logs"]] == sorted(entry["timestamp"] for entry in answer["logs"])
    assert logs_of(PENDING, [], is_complete=True)["log_count"] == 1
