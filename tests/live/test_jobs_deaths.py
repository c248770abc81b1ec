"""SIGKILL of the runner, of workers, of the master, of all of them, amid 200 jobs: none is lost, none runs for ever."""

import random
import threading
from collections import Counter
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from hvd.jobs.states import CANCELLED, COMPLETED, ENDED, FAILED, PENDING, RUNNING
from tests.support.jobs import JobsDaemon, kill, lines, post, shell, together, until_taken
from tests.support.waiting import until

WORK = """
exec 9>"$0/lock-$HVD_JOB"
flock -w 0.1 9 || echo "$HVD_JOB" >>"$0/overlaps"
echo "$HVD_JOB" >>"$0/starts"
sleep 0.6
echo "$HVD_JOB" >>"$0/ends"
"""
"""Notes when it starts and ends, and whether anything of an earlier attempt lives on: that would hold the lock."""

FAMILY = 'sleep 300 9>"$0/lock-$HVD_JOB" & setsid sh -c "sleep 300; :" &\n' + WORK
RETRIES, BACKOFF = 9, 0.05
LEGAL = {(PENDING, RUNNING), (RUNNING, PENDING), (PENDING, CANCELLED), *((RUNNING, end) for end in ENDED)}
COUNTS = {"once": 60, "again": 60, "family-once": 30, "family-again": 50}


def daemon(folder: Path, **settings: object) -> JobsDaemon:
    """Four kinds: with one attempt and with several, each with and without processes that outlive their parent."""
    more = {"retries": RETRIES, "backoff": BACKOFF}
    work, family = {"command": shell(WORK, folder)}, {"command": shell(FAMILY, folder)}
    kinds: dict[str, dict[str, Any]] = {
        "once": work,
        "again": {**work, **more},
        "family-once": family,
        "family-again": {**family, **more},
    }
    return JobsDaemon(folder, kinds, **{"jobs_concurrency": 16, "jobs_grace": 0.5, **settings})


def submit_all(server: JobsDaemon) -> list[str]:
    """200 jobs, the kinds mixed."""
    jobs = [{"kind": kind, "params": {}} for kind, count in COUNTS.items() for _ in range(count)]
    random.Random(5).shuffle(jobs)
    answer = server.post("/jobs/submit", {"jobs": jobs})
    assert answer.json()["accepted"] == 200, answer.body
    ids: list[str] = answer.json()["job_ids"]
    return ids


def wait_busy(server: JobsDaemon) -> str:
    """Until the runner is in the middle of jobs of all sorts, those among them that would outlive it -> its id."""

    def find() -> str | None:
        own = f"SELECT id FROM hvd_runners WHERE pid = {server.runner_pid}"
        once = "coalesce(sum(kind LIKE '%once'), 0)"
        found = server.rows(
            f"SELECT runner, count(*), {once} FROM hvd_jobs WHERE status = 'running' AND runner IN ({own})"
        )
        runner, running, single = found[0]
        if running < 6 or not 3 <= single <= running - 2:  # some may have ended by the time of the kill
            return None
        return runner if sum(map(lasts, server.processes_of(runner))) >= 2 else None

    return until(find, f"the runner runs jobs; log:\n{server.log}", 20) or ""


def lasts(pid: int) -> bool:
    """True for a process that ends only if somebody ends it."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).cmdline() == ["sleep", "300"]
    return False


def assert_each_ended_once(folder: Path, server: JobsDaemon, ids: list[str], deaths: int) -> None:
    """Of those that submitted: no job is lost, none has two ends, none ran more often than its kind says."""
    found = {
        row[0]: row[1:] for row in server.rows("SELECT id, kind, status, attempt, error, runner, ended FROM hvd_jobs")
    }
    assert sorted(found) == sorted(ids)
    starts, ends = Counter(lines(folder / "starts")), Counter(lines(folder / "ends"))
    for job_id, (kind, status, attempt, error, runner, ended) in found.items():
        told = f"{job_id}: {found[job_id]}, {starts[job_id]} starts, {ends[job_id]} ends"
        assert runner is None, told
        assert ended, told
        assert ends[job_id] <= starts[job_id] <= attempt <= deaths + 1, told
        if status == COMPLETED:
            assert ends[job_id] >= 1, told
            assert not error, told
        else:
            assert status == FAILED, told
            assert "died" in error or "hvd was stopped" in error, told
        if kind.endswith("once"):
            assert attempt == 1, told
        else:
            assert status == COMPLETED, told
    for job_id, steps in server.moves().items():
        assert set(pairwise(steps)) <= LEGAL, (job_id, steps)
        assert [step for step in steps if step in ENDED] == steps[-1:], (job_id, steps)
        # a claim that came to no start is put back: it is no attempt
        assert starts[job_id] <= found[job_id][2] <= steps.count(RUNNING), (job_id, steps, found[job_id])
    assert not lines(folder / "overlaps")
    assert server.ends() == server.book()
    assert not server.rows("SELECT id FROM hvd_jobs WHERE cancel_requested")
    server.wait_no_job_process()


def assert_deaths_hit(server: JobsDaemon) -> None:
    """The test is about something: jobs of one attempt were lost, and the others had more than one."""
    book = server.book()
    assert book["once", FAILED] + book["family-once", FAILED]
    for kind in ("again", "family-again"):
        assert server.rows(f"SELECT max(attempt) FROM hvd_jobs WHERE kind = '{kind}'")[0][0] > 1, kind


def test_the_runner_killed(tmp_path: Path) -> None:
    """Twice: what it ran ends within moments, grandchildren and new sessions too, and another goes on."""
    with daemon(tmp_path) as server:
        server.record_moves()
        ids = submit_all(server)
        for _ in range(2):
            runner, pid = wait_busy(server), server.runner_pid
            kill([pid])
            until(lambda runner=runner: not server.processes_of(runner), "its jobs' processes are ended", 3)  # type: ignore[misc]
            until(lambda pid=pid: server.runner_pid != pid, "another runner")  # type: ignore[misc]
        server.wait_ended(40)
        assert_each_ended_once(tmp_path, server, ids, 2)
        assert_deaths_hit(server)
        server.wait_ready()
        server.assert_books_agree()
        assert "its runner on" in str(server.rows("SELECT error FROM hvd_jobs WHERE status = 'failed'"))


def test_workers_killed_under_submissions(tmp_path: Path) -> None:
    """A client that repeats a submission with its key, until it is answered, has submitted exactly one job."""
    over = threading.Event()
    with daemon(tmp_path, workers=3, graceful_timeout=5) as server:
        server.record_moves()

        def submit(number: int, kind: str) -> list[str]:
            while True:
                with suppress(OSError), server.connection(10) as connection:
                    body = {"kind": kind, "params": {}}
                    key = f"{kind} {number}"
                    answer = until_taken(lambda: post(connection, "/jobs/submit", body, Idempotency_Key=key))  # noqa: B023
                    assert answer.status == 202, answer.body
                    return list(answer.json()["job_ids"])

        def client(kind: str) -> list[str]:
            return [job_id for number in range(COUNTS[kind]) for job_id in submit(number, kind)]

        def assassin() -> list[str]:
            order, killed = random.Random(9), set[int]()
            while not over.is_set() or len(killed) < 5:
                pid = order.choice(
                    until(lambda: [pid for pid in server.pids("worker") if pid not in killed], "workers")
                )
                kill([pid])
                killed.add(pid)
                over.wait(0.3)
            return list(map(str, killed))

        def clients() -> list[str]:
            try:
                return [
                    job_id for ids in together([lambda kind=kind: client(kind) for kind in COUNTS]) for job_id in ids
                ]  # type: ignore[misc]
            finally:
                over.set()

        ids, killed = together([clients, assassin])
        assert len(killed) >= 5
        assert len(set(ids)) == len(ids) == 200
        server.wait_ended(40)
        assert_each_ended_once(tmp_path, server, ids, 0)
        assert {status for _, status in server.book()} == {COMPLETED}, "a worker's death is nothing to a job"
        server.wait_ready()
        server.assert_books_agree()


@pytest.mark.parametrize("victims", ["master", "all"])
def test_the_master_killed(tmp_path: Path, victims: str) -> None:
    """Alone, or with all other processes of the daemon at once: the next start goes on where they were."""
    with daemon(tmp_path) as first:
        first.record_moves()
        ids = submit_all(first)
        runner = wait_busy(first)
        if victims == "master":
            first.kill_master()
        else:
            first.kill_all()
            assert first.processes_of(runner), "nobody is left to end them"
        with daemon(tmp_path, instance=first.instance) as server:
            until(lambda: not server.processes_of(runner), "what the dead runner had started is ended", 5)
            wait_busy(server)
            server.wait_ended(40)
            assert_each_ended_once(tmp_path, server, ids, 1)
            assert_deaths_hit(server)
            server.assert_books_agree()


@pytest.mark.parametrize("victims", ["master", "master and runner"])
def test_jobs_run_no_longer_than_a_master_that_is_killed(tmp_path: Path, victims: str) -> None:
    """With nobody to start it again: moments later no process of the daemon or of its jobs is left."""
    with daemon(tmp_path) as server:
        ids = submit_all(server)
        wait_busy(server)
        kill([server.pid] if victims == "master" else [server.pid, server.runner_pid])
        server.wait()
        until(lambda: not server.processes(), "no process of the daemon is left", 8)
        left = server.rows("SELECT id FROM hvd_jobs WHERE status = 'running'")
        assert bool(left) == (victims != "master"), "a runner that may notes how its jobs ended"
        assert len(server.rows("SELECT id FROM hvd_jobs")) == len(ids)


def test_totals_stay_between_a_take_over_and_the_next_runners_first_word(tmp_path: Path) -> None:
    """Also where that one can't read its database yet: what was counted neither falls nor vanishes."""
    with daemon(tmp_path) as first:
        first.submit("once", 3)
        first.wait_ended()
        until(lambda: first.snapshot()["jobs_completed"] == 3, "they are counted")
        metrics = first.job_metrics()
        first.kill_all()
        database = first.state / "hvd.sqlite3"
        database.rename(tmp_path / "aside")
        database.mkdir()
        with daemon(tmp_path, instance=first.instance).start(ready=False) as server:
            until(lambda: "can't be used" in server.log, f"the runner has no database; log:\n{server.log}")
            for _ in range(10):
                assert server.snapshot()["jobs_completed"] == 3
                assert server.job_metrics() == metrics
            database.rmdir()
            (tmp_path / "aside").rename(database)
            server.wait_ready(30)
            assert server.snapshot()["jobs_completed"] == 3
