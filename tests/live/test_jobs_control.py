"""Reloads and stops of a daemon that runs jobs."""

import signal
import time
from pathlib import Path
from typing import Any

from hvd.jobs.states import COMPLETED, FAILED, PENDING, RUNNING
from tests.support.jobs import JobsDaemon, lines, shell
from tests.support.waiting import PATIENCE, until

WAIT = 'echo "$HVD_JOB" >>"$0/starts"; until [ -e "$0/gate" ]; do sleep 0.02; done; echo "$HVD_JOB" >>"$0/ends"'


def test_a_reload_takes_new_kinds_and_leaves_jobs_alone(tmp_path: Path) -> None:
    """HUP: kinds come, go and change; what runs is the same process after it, and ends as it would have."""
    kinds: dict[str, dict[str, Any]] = {
        "wait": {"command": shell(WAIT, tmp_path)},
        "old": {"command": ["true"]},
        "echo": {"command": ["echo", "before"]},
    }
    with JobsDaemon(tmp_path, kinds) as server:
        ids, runner = server.submit("wait", 3), server.runner_pid
        until(lambda: len(lines(tmp_path / "starts")) == 3, "they run")
        before = server.job_processes()
        server.declare({"wait": kinds["wait"], "echo": {"command": ["echo", "after"]}, "new": {"command": ["true"]}})
        server.reload()
        server.wait_ready()
        assert sorted(server.get("/jobs/kinds").json()["kinds"]) == ["echo", "new", "wait"]
        assert server.post("/jobs/submit", {"kind": "old", "params": {}}).json()["errors"][0]["pointer"] == "/kind"
        (new,), (echo,) = server.submit("new"), server.submit("echo")
        server.wait_status(new, COMPLETED)
        assert server.wait_status(echo, COMPLETED)["output"] == ["after"]
        assert server.runner_pid == runner
        shells = {pid for pid in before if pid in server.job_processes()}
        assert len(shells) >= 3, "the jobs' own processes go on; only the sleeps in them come and go"
        (tmp_path / "gate").touch()
        for job_id in ids:
            assert server.wait_status(job_id, COMPLETED)["attempt"] == 1
        assert sorted(lines(tmp_path / "starts")) == sorted(lines(tmp_path / "ends")) == sorted(ids)
        server.assert_books_agree()
        assert not server.alarms


def test_a_reload_with_a_wrong_kind_changes_nothing(tmp_path: Path) -> None:
    """It is logged by the name of the key, and the kinds in force go on."""
    with JobsDaemon(tmp_path, {"good": {"command": ["true"]}}) as server:
        server.declare({"bad": {"command": ["echo", "{nothing}"]}})
        server.reload()
        server.wait_ready()
        assert "jobs.kinds.bad.command" in server.log
        (job_id,) = server.submit("good")
        server.wait_status(job_id, COMPLETED)


def test_a_stop_ends_jobs_and_notes_it(tmp_path: Path) -> None:
    """One attempt: failed; more: pending, for the next start. One that ends in its grace time may. Nothing is left."""
    kind = {"command": shell(WAIT, tmp_path)}
    stubborn = {"command": shell('trap "" TERM; ' + WAIT, tmp_path)}
    late = {"command": shell('trap "echo late >>$0/late; exit 0" TERM; ' + WAIT, tmp_path)}
    again = {"retries": 2, "backoff": 0.1}
    kinds: dict[str, dict[str, Any]] = {
        "once": kind,
        "again": {**kind, **again},
        "stubborn": {**stubborn, **again},
        "late": late,
    }
    grace = 0.6 * PATIENCE
    server = JobsDaemon(tmp_path, kinds, jobs_grace=grace)
    with server:
        ids = {name: server.submit(name)[0] for name in kinds}
        until(lambda: len(lines(tmp_path / "starts")) == 4, "they run")
        started = time.monotonic()
        assert server.stop(10) == 0
        assert grace <= time.monotonic() - started < grace + 4 * PATIENCE
    status = {row[0]: row[1:] for row in server.rows("SELECT id, status, attempt, error FROM hvd_jobs")}
    for name in ("once", "late"):
        assert status[ids[name]] == (FAILED, 1, "interrupted: hvd was stopped"), name
    for name in ("again", "stubborn"):
        assert status[ids[name]] == (PENDING, 1, "interrupted: hvd was stopped"), name
    assert lines(tmp_path / "late") == ["late"]
    assert server.rows("SELECT id FROM hvd_runners") == []
    (tmp_path / "gate").touch()
    with JobsDaemon(tmp_path, kinds, instance=server.instance) as server:
        for name in ("again", "stubborn"):
            assert server.wait_status(ids[name], COMPLETED)["attempt"] == 2
        server.assert_books_agree()
        assert not server.alarms


def test_a_clean_run_logs_no_alarm(tmp_path: Path) -> None:
    """Start, jobs, a reload, an idle stop: a log that nobody needs to read, and a folder with what it keeps."""
    server = JobsDaemon(tmp_path, {"echo": {"command": ["echo", "hello"]}})
    with server:
        for job_id in server.submit("echo", 10):
            server.wait_status(job_id, COMPLETED)
        server.signal(signal.SIGHUP)
        server.wait_ready()
        (job_id,) = server.submit("echo")
        assert server.wait_status(job_id, COMPLETED)["output"] == ["hello"]
        assert not server.rows(f"SELECT id FROM hvd_jobs WHERE status = '{RUNNING}'")
    assert not server.alarms
    left = {path.name for path in server.state.iterdir()}
    left -= {"hvd.sqlite3-shm", "hvd.sqlite3-wal"}  # SQLite leaves them where the last two close it at one moment
    assert left == {"hvd.sqlite3", "output"}
    assert (server.state / "hvd.sqlite3").stat().st_mode & 0o777 == 0o600
