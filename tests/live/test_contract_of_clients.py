"""Clients of the daemon before hvd, word by word, on a real daemon with real jobs: SQLite, and PostgreSQL."""

import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from hvd.jobs.ids import new_id
from tests.support.http import Response
from tests.support.jobs import JobsDaemon, Json, shell
from tests.support.postgres import Postgres
from tests.support.waiting import until
from tests.support.ws import RawWebSocket

HALF = 'echo "50 %"; until [ -e "$0/gate" ]; do sleep 0.02; done; echo "100 %"; echo done'


def kinds(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        "half": {"command": shell(HALF, folder), "progress": "([0-9]+) %"},
        "fail": {"command": shell("echo broken; exit 3")},
        "endless": {"command": ["sleep", "300"], "concurrency": 1},
    }


@pytest.fixture(params=["sqlite", "postgresql"])
def daemon(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[JobsDaemon]:
    settings: dict[str, Any] = {}
    if request.param == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        settings["database_url"] = postgres.database()
    with JobsDaemon(tmp_path, kinds(tmp_path), **settings) as server:
        yield server
        assert not [line for line in server.alarms if not re.search(r"failed: exit status 3|Invalid", line)]


def check_job(job: Json, kind: str, name: str) -> None:
    """What clients format without asking is there, and of its type."""
    assert isinstance(job["duration_seconds"], int | float)
    assert job["duration_seconds"] >= 0
    assert datetime.fromisoformat(job["start_time"]).tzinfo
    assert job["end_time"] is None or datetime.fromisoformat(job["end_time"]).tzinfo
    assert (job["provider"], job["vm_name"]) == (kind, name)
    assert isinstance(job["progress"], int | float)
    assert isinstance(job["error_msg"], str)


def ok(answer: Response, status: int = 200) -> Json:
    """The answer's JSON, which says when it was made."""
    assert answer.status == status, answer.body
    members: Json = answer.json()
    assert abs(datetime.fromisoformat(members["timestamp"]).timestamp() - time.time()) < 60
    return members


def test_the_old_payloads_are_taken(daemon: JobsDaemon, tmp_path: Path) -> None:
    """Submitted as a bare array, watched while it runs, looked up by job_ids, read, ended."""
    bodies = [{"kind": "half", "params": {}, "name": "disk 1"}, {"kind": "fail", "params": {}}, {"kind": "nope"}]
    taken = ok(daemon.post("/jobs/submit", bodies), 202)
    assert (taken["accepted"], taken["rejected"], taken["errors"][0]["pointer"]) == (2, 1, "/2/params")
    half, failed = taken["job_ids"]

    until(lambda: ok(daemon.get(f"/jobs/progress/{half}"))["percent_complete"] == 50, "it has said half")
    progress = ok(daemon.get(f"/jobs/progress/{half}"))
    assert (progress["job_id"], progress["status"]) == (half, "running")
    assert progress["progress"]["percent_complete"] == 50
    assert progress["elapsed_seconds"] > 0
    eta = ok(daemon.get(f"/jobs/eta/{half}"))
    assert eta["eta_seconds"] == eta["eta"]["time_remaining_seconds"]
    assert eta["eta_seconds"] == pytest.approx(eta["eta"]["elapsed_seconds"], abs=0.01), "as long again"
    check_job(daemon.job(half), "half", "disk 1")
    running = ok(daemon.get("/jobs/query?all=true&status=running&limit=10"))
    assert [job["id"] for job in running["jobs"]] == [half]
    assert 0 < running["jobs"][0]["duration_seconds"] < 60

    (tmp_path / "gate").touch()
    daemon.wait_ended()
    found = ok(daemon.post("/jobs/query", {"job_ids": [half, failed, new_id()], "all": False}))
    assert ([job["id"] for job in found["jobs"]], found["total"], len(found["unknown"])) == ([half, failed], 2, 1)
    for job, kind, name in zip(found["jobs"], ("half", "fail"), ("disk 1", "fail"), strict=True):
        check_job(job, kind, name)
    assert ok(daemon.get(f"/jobs/eta/{half}"))["eta_seconds"] == 0
    logs = ok(daemon.get(f"/jobs/logs/{half}"))
    assert [entry["message"] for entry in logs["logs"] if entry["source"] == "output"] == ["50 %", "100 %", "done"]
    assert daemon.get(f"/jobs/logs/{half}", Accept="text/plain").body == b"50 %\n100 %\ndone\n"
    last = ok(daemon.get(f"/jobs/logs/{failed}"))["logs"][-1]
    assert (last["level"], "status 3" in last["message"]) == ("error", True), last
    everything = ok(daemon.post("/jobs/query", {"all": True}))
    assert {job["id"] for job in everything["jobs"]} == {half, failed}
    assert {job["id"] for job in daemon.get("/jobs").json()["jobs"]} == {half, failed}


def test_everything_is_cancelled_in_one_answer(daemon: JobsDaemon) -> None:
    """What waits first, so nothing of it runs; what contradicts itself cancels nothing."""
    ids = [*daemon.submit("endless"), *daemon.submit("endless", 700)]
    daemon.wait_status(ids[0], "running")
    for body in ({"all": True, "job_ids": ids[:2]}, {"all": False}, {"limit": 5}, {}, {"status": "completed"}):
        refused = daemon.post("/jobs/cancel", body)
        assert refused.status == 422
        assert refused.json()["error"] == refused.json()["detail"]
    some = ok(daemon.post("/jobs/cancel", {"status": ["pending"], "limit": 100}))
    assert (len(some["cancelled"]), some["total"], some["remaining"]) == (100, 100, 600)
    rest = ok(daemon.post("/jobs/cancel", {"all": True}))
    assert (len(rest["cancelled"]), rest["cancelling"], rest["total"]) == (600, ids[:1], 601)
    assert rest["remaining"] == 0
    daemon.wait_ended()
    again = ok(daemon.post("/jobs/cancel", {"job_ids": [ids[0], "nonsense"]}))
    assert (again["failed"], set(again["errors"])) == ([ids[0], "nonsense"], {ids[0], "nonsense"})
    assert daemon.book() == {("endless", "cancelled"): 701}
    daemon.assert_books_agree()


def test_messages_say_what_clients_format(daemon: JobsDaemon, tmp_path: Path) -> None:
    """`status` has the totals, which /status has too; jobs in every message have what is formatted."""
    (half,), (failed,) = daemon.submit("half"), daemon.submit("fail")
    daemon.wait_status(failed, "failed")
    daemon.wait_status(half, "running")

    def totals() -> Json:
        with RawWebSocket(daemon.address) as client:
            found: Json = client.message("status")["data"]
        return found

    expected = {"total_jobs": 2, "running_jobs": 1, "completed_jobs": 0, "failed_jobs": 1, "cancelled_jobs": 0}
    until(lambda: expected.items() <= totals().items(), "the totals are those of the jobs")
    assert datetime.fromisoformat(totals()["timestamp"]).tzinfo
    assert expected.items() <= ok(daemon.get("/status")).items()
    with RawWebSocket(daemon.address) as client:
        raw = client.message("metrics")["data"]["raw"]
        shown = client.message("jobs")["data"]["jobs"]
        assert {job["id"] for job in raw["recent_jobs"]} == {job["id"] for job in shown} == {half, failed}
        for job in [*raw["recent_jobs"], *shown]:
            check_job(job, job["kind"], job["name"])
        (tmp_path / "gate").touch()
        update = client.message("job_update")["data"]
        assert update["id"] in (half, failed)
        check_job(update, update["kind"], update["name"])
    health = ok(daemon.get("/health"))
    assert health["version"] == daemon.get("/status").json()["version"]


def test_refusals_say_what_is_wrong_as_clients_read_it(daemon: JobsDaemon) -> None:
    """Falcon's, those of the jobs, and gunicorn's own: `error` is the detail."""
    for answer in (
        *(daemon.get(path) for path in ("/nowhere", "/jobs/x", "/jobs/progress/x", "/jobs?limit=x", "/ws")),
        *(daemon.post("/jobs/submit", body) for body in (b"{", {}, [])),
        daemon.connection().exchange(b"GET / HTTP/9.9\r\nHost: a\r\n\r\n"),
    ):
        assert answer.status >= 400
        problem = answer.json()
        assert problem["error"] == problem["detail"]
        assert datetime.fromisoformat(problem["timestamp"]).tzinfo
