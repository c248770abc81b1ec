"""Two daemons on one PostgreSQL: one queue, each job runs once, and one goes on alone when the other is killed."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hvd.jobs.states import COMPLETED, FAILED
from tests.support.jobs import Book, JobsDaemon, lines, shell
from tests.support.postgres import Postgres
from tests.support.waiting import until

NOTE = 'echo "$HVD_JOB" >>"$0/starts"; until [ -e "$0/gate" ]; do sleep 0.02; done; echo "$HVD_JOB" >>"$0/ends"'
LONG = "sleep 300 & " + NOTE
AT_ONCE = 6


def kinds(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        "once": {"command": shell(NOTE, folder)},
        "again": {"command": shell(NOTE, folder), "retries": 3, "backoff": 0.1},
        "long": {"command": shell(LONG, folder), "retries": 3, "backoff": 0.1, "concurrency": AT_ONCE // 2},
        "long-once": {"command": shell(LONG, folder), "concurrency": AT_ONCE // 2},
        "endless": {"command": ["sleep", "300"]},
    }


@contextmanager
def two(folder: Path, url: str) -> Iterator[tuple[JobsDaemon, JobsDaemon]]:
    """Two daemons with instances, ports, blocks and state folders of their own."""
    folders = folder / "a", folder / "b"
    for each in folders:
        each.mkdir()
    settings: dict[str, Any] = {"database_url": url, "jobs_lease": 3, "jobs_concurrency": AT_ONCE, "jobs_grace": 0.5}
    with (
        JobsDaemon(folders[0], kinds(folder), **settings) as one,
        JobsDaemon(folders[1], kinds(folder), **settings) as other,
    ):
        yield one, other


def wait_all_run(one: JobsDaemon, other: JobsDaemon) -> None:
    """Until both run as many jobs as they may, which last until the gate is open."""
    query = "SELECT r.pid, count(*) FROM hvd_jobs j JOIN hvd_runners r ON r.id = j.runner GROUP BY r.pid"
    expected = dict.fromkeys((one.runner_pid, other.runner_pid), AT_ONCE)
    until(lambda: dict(one.rows(query)) == expected, "both run jobs")


def ended_by(server: JobsDaemon) -> dict[str, int]:
    """How many jobs each daemon brought to an end, by its instance's name."""
    rows = server.rows("SELECT daemon, sum(count) FROM hvd_job_totals GROUP BY daemon")
    return {daemon.split("/")[1]: int(count) for daemon, count in rows}


def test_two_daemons_share_a_queue(tmp_path: Path, postgres: Postgres) -> None:
    """500 jobs, submitted to both: each runs once, both take part, and what they tell adds up."""
    with two(tmp_path, postgres.database()) as (one, other):
        ids = [job_id for server in (one, other) * 2 for job_id in server.submit("once", 125)]
        assert len(set(ids)) == 500
        assert other.job(ids[0])["kind"] == one.job(ids[-1])["kind"] == "once", "each knows the other's jobs"
        wait_all_run(one, other)
        (tmp_path / "gate").touch()
        one.wait_ended(40)
        assert Counter(lines(tmp_path / "starts")) == Counter(ids)
        assert one.book() == one.ends() == Book({("once", COMPLETED): 500})
        assert one.rows("SELECT DISTINCT attempt, exit_code FROM hvd_jobs") == [(1, 0)]
        shares = ended_by(one)
        assert set(shares) == {one.instance, other.instance}
        assert min(shares.values()) >= AT_ONCE, shares
        for server in (one, other):
            mine = Book({("once", COMPLETED): shares[server.instance]})
            until(lambda server=server, mine=mine: server.job_metrics() == (mine, Book()), "its own ends", 10)  # type: ignore[misc]
            until(lambda server=server: server.figures()["jobs_completed"] == 500, "/ws tells of the whole queue", 10)  # type: ignore[misc]
            assert not server.alarms

        (job_id,) = one.submit("endless")
        one.wait_status(job_id, "running")
        assert other.post(f"/jobs/{job_id}/cancel", {}).status == 202, "either may cancel, whichever runs it"
        other.wait_status(job_id, "cancelled", seconds=5)
        one.wait_no_job_process()
        other.wait_no_job_process()


def test_one_of_two_daemons_is_killed(tmp_path: Path, postgres: Postgres) -> None:
    """With all its processes, amid 500 jobs: the other ends what is left running, and does all the rest."""
    with two(tmp_path, postgres.database()) as (one, other):
        order = ["long", "long-once"] * 20 + ["once", "again"] * 230  # the oldest are started first
        answer = one.post("/jobs/submit", {"jobs": [{"kind": kind, "params": {}} for kind in order]})
        ids = answer.json()["job_ids"]
        assert len(ids) == 500
        wait_all_run(one, other)
        until(lambda: len(other.job_processes()) >= 2 * AT_ONCE, "their processes are there")
        pid = other.runner_pid
        other.kill_all()
        until(lambda: not other.job_processes(), f"its jobs' processes are ended; log:\n{one.log}", 10)
        ended = rf"ended \d+ processes of a runner that died \(pid:{pid}\)"
        until(lambda: re.search(ended, one.log), f"by the other daemon: nobody else was left; log:\n{one.log}", 5)
        (tmp_path / "gate").touch()
        one.wait_ended(40)

        found = {row[0]: row[1:] for row in one.rows("SELECT id, kind, status, attempt, error FROM hvd_jobs")}
        assert sorted(found) == sorted(ids)
        starts = Counter(lines(tmp_path / "starts"))
        for job_id, (kind, status, attempt, error) in found.items():
            told = f"{job_id}: {found[job_id]}, {starts[job_id]} starts"
            assert starts[job_id] <= attempt <= (1 if kind.endswith("once") else 2), told
            assert status == COMPLETED or (kind.endswith("once") and status == FAILED and "died" in error), told
        assert max(attempt for _, _, attempt, _ in found.values()) == 2, "some were taken over"
        assert one.book()["long-once", FAILED] == AT_ONCE // 2, "and some have one attempt only"
        assert one.ends() == one.book()
        assert len(one.rows("SELECT id FROM hvd_runners")) == 1
        one.wait_no_job_process()
