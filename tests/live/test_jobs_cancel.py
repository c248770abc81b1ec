"""Cancelling before, at, during and after a job's run: one end for each, and nothing of it is left."""

import contextlib
import random
import signal
import threading
import time
from collections.abc import Callable
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from hvd.core.proc import is_stopped
from hvd.jobs.states import CANCELLED, COMPLETED, ENDED, FAILED, PENDING, RUNNING
from tests.support.http import Response
from tests.support.jobs import Book, JobsDaemon, lines, post, shell, together, until_taken
from tests.support.waiting import PATIENCE, until
from tests.support.ws import RawWebSocket

GRACE = 0.6 * PATIENCE  # s
ORPHANS = 'sleep 300 & setsid sh -c "sleep 300; :" & (setsid setsid sh -c "sleep 300; :" &) ; '
"""A child, one in a session of its own with a child of its own, and one whose parent is gone."""


def daemon(folder: Path, command: list[str], **settings: Any) -> JobsDaemon:
    kind = {"command": command, **settings.pop("kind", {})}
    return JobsDaemon(folder, {"work": kind}, jobs_grace=GRACE, **settings)


def cancel(server: JobsDaemon, job_id: str) -> Response:
    return until_taken(lambda: server.post(f"/jobs/{job_id}/cancel", {}))


def test_a_pending_job_is_cancelled_at_once(tmp_path: Path) -> None:
    """It is never started; of two who cancel at the same moment one is told that it is too late."""
    command = shell('echo "$HVD_JOB" >>"$0/starts"; until [ -e "$0/gate" ]; do sleep 0.02; done', tmp_path)
    with daemon(tmp_path, command, jobs_concurrency=1) as server:
        (first,) = server.submit("work")
        server.wait_status(first, RUNNING)
        waiting = server.submit("work", 20)
        for job_id in waiting[:10]:
            answers = together([lambda job_id=job_id: cancel(server, job_id)] * 3)  # type: ignore[misc]
            assert sorted(answer.status for answer in answers) == [200, 409, 409]
            assert {(answer.json().get("job") or answer.json())["status"] for answer in answers} == {CANCELLED}
        body = {"ids": [*waiting[5:], first, "no id", first[:-4] + "0000"]}
        many = until_taken(lambda: server.post("/jobs/cancel", body)).json()
        assert (many["cancelled"], many["ended"], many["cancelling"]) == (waiting[10:], waiting[5:10], [first])
        assert sorted(many["unknown"]) == sorted(["no id", first[:-4] + "0000"])
        assert server.wait_status(first, CANCELLED)["exit_code"] == -signal.SIGTERM
        (tmp_path / "gate").touch()
        (last,) = server.submit("work")
        server.wait_status(last, COMPLETED)
        assert lines(tmp_path / "starts") == [first, last]
        assert server.book() == Book({("work", CANCELLED): 21, ("work", COMPLETED): 1})
        server.assert_books_agree()
        assert not server.alarms


def test_cancelled_at_any_moment_a_job_has_one_end(tmp_path: Path) -> None:
    """200 jobs of some milliseconds, each cancelled by two clients at once before, in or after its run.

    On a machine whose moments aren't spread so far by then, more of them.
    """
    command = shell('echo "$HVD_JOB" >>"$0/starts"; sleep 0.03; echo "$HVD_JOB" >>"$0/ends"', tmp_path)
    with daemon(tmp_path, command, jobs_concurrency=4) as server, RawWebSocket(server.address) as watching:
        server.record_moves()
        listener = Listener(watching)
        answers: dict[str, list[Response]] = {}
        kinds_of_answers: set[int] = set()
        deadline = time.monotonic() + 20 * PATIENCE

        def client(seed: int) -> None:
            order = random.Random(seed)
            with server.connection() as one, server.connection() as other:
                for number in count():
                    if number >= 50 and (kinds_of_answers == {200, 202, 409} or time.monotonic() > deadline):
                        break
                    (job_id,) = server.submit("work")
                    time.sleep(order.choice((0.0, order.uniform(0, 0.02), order.uniform(0.02, 0.08))))
                    asks: list[Callable[[], Response]] = [
                        lambda by=by, path=f"/jobs/{job_id}/cancel": until_taken(lambda: post(by, path, {}))  # type: ignore[misc]
                        for by in (one, other)
                    ]
                    answers[job_id] = together(asks)
                    kinds_of_answers.update(answer.status for answer in answers[job_id])

        together([lambda seed=seed: client(seed) for seed in range(4)])  # type: ignore[misc]
        server.wait_ended()
        jobs = {job_id: server.job(job_id) for job_id in answers}
        moves, starts, ends = server.moves(), lines(tmp_path / "starts"), lines(tmp_path / "ends")
        for job_id, given in answers.items():
            job, steps, told = jobs[job_id], moves[job_id], sorted(answer.status for answer in given)
            assert [step for step in steps if step in ENDED] == steps[-1:] == [job["status"]], (job_id, steps)
            assert set(pairwise(steps)) <= {(PENDING, RUNNING), (PENDING, CANCELLED)} | {(RUNNING, e) for e in ENDED}
            assert job["attempt"] == steps.count(RUNNING) <= 1
            assert starts.count(job_id) <= job["attempt"]
            if told[0] == 200:
                assert told == [200, 409]
                assert steps == [PENDING, CANCELLED]
            if told == [409, 409] or job["status"] == COMPLETED:
                assert (job["status"], job["exit_code"], job["progress"]) == (COMPLETED, 0, 100.0), (told, job)
                assert starts.count(job_id) == ends.count(job_id) == 1
            else:
                assert job["status"] == CANCELLED, (told, job)
        assert kinds_of_answers == {200, 202, 409}, "the moments are spread over all of a job's life"
        server.assert_books_agree()
        assert_one_end_was_told(listener, {job_id: job["status"] for job_id, job in jobs.items()})
        server.wait_no_job_process()
        assert not server.alarms


class Listener:
    """Reads all that a client is told, from now on: one that doesn't would be dropped as too slow."""

    def __init__(self, client: RawWebSocket) -> None:
        self.told: list[tuple[str, str]] = []
        self._client = client
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError, AssertionError, ValueError):
            while True:
                message = self._client.message("")
                if message["type"] == "job_update":
                    self.told.append((message["data"]["id"], message["data"]["status"]))


def assert_one_end_was_told(listener: Listener, statuses: dict[str, str]) -> None:
    """On /ws: of each job its end, and no state after it."""
    until(lambda: dict(listener.told) == statuses, "all ends are told")
    last: dict[str, str] = {}
    for job_id, status in listener.told:
        assert last.get(job_id) not in ENDED, (job_id, last[job_id], status)
        last[job_id] = status


def test_a_job_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    """One that obeys but takes its time may; one that is stopped is continued, to end."""
    stubborn = 'trap "" TERM; echo >"$0/$HVD_JOB"; while :; do sleep 0.05; done'
    late = 'trap "sleep 0.3; echo late >>$0/late; exit 0" TERM; echo >"$0/$HVD_JOB"; while :; do sleep 0.05; done'
    stopped = 'echo >"$0/$HVD_JOB"; kill -STOP $$; sleep 60'
    kinds = {
        name: {"command": shell(script, tmp_path)}
        for name, script in (("stubborn", stubborn), ("late", late), ("stopped", stopped))
    }
    with JobsDaemon(tmp_path, kinds, jobs_grace=GRACE) as server:
        ids = {name: server.submit(name)[0] for name in kinds}
        for job_id in ids.values():
            until((tmp_path / job_id).exists, f"{job_id} runs")
        until(lambda: any(is_stopped(process.pid) for process in server.processes()), "one has stopped itself", 5)
        started = time.monotonic()
        assert {cancel(server, job_id).status for job_id in ids.values()} == {202}
        ended = {}
        for name in ("stopped", "late", "stubborn"):
            ended[name] = server.wait_status(ids[name], CANCELLED), time.monotonic() - started
        assert ended["stubborn"][0]["exit_code"] == -signal.SIGKILL
        assert GRACE <= ended["stubborn"][1] < GRACE + 3 * PATIENCE
        assert ended["late"][0]["exit_code"] == 0
        assert lines(tmp_path / "late") == ["late"]
        assert ended["stopped"][0]["exit_code"] == -signal.SIGTERM
        assert {cancel(server, job_id).status for job_id in ids.values()} == {409}
        server.wait_no_job_process(3)
        server.assert_books_agree()
        assert not server.alarms


def test_no_descendant_outlives_its_job(tmp_path: Path) -> None:
    """However it ends: grandchildren end with it, those in sessions of their own, and orphans, too."""
    command = shell(ORPHANS + 'echo "$HVD_JOB" >>"$0/starts"; until [ -e "$0/gate" ]; do sleep 0.02; done', tmp_path)
    kinds = {"cancel": {"command": command}, "complete": {"command": command}, "stop": {"command": command}}
    expected = {"cancel": CANCELLED, "time-out": FAILED, "complete": COMPLETED}
    with JobsDaemon(tmp_path, {**kinds, "time-out": {"command": command, "timeout": 3}}, jobs_grace=GRACE) as server:
        for number, (kind, status) in enumerate(expected.items(), 1):
            ids = server.submit(kind, 2)
            wait_families(server, tmp_path, 2 * number)
            if kind == "cancel":
                assert server.post("/jobs/cancel", {"ids": ids}).json()["cancelling"] == ids
            if kind == "complete":
                (tmp_path / "gate").touch()
            for job_id in ids:
                server.wait_status(job_id, status)
            server.wait_no_job_process(2)
        server.assert_books_agree()
        (tmp_path / "gate").unlink()
        server.submit("stop", 2)
        wait_families(server, tmp_path, 8)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        until(lambda: not server.processes(), "nothing is left", 2)


def wait_families(server: JobsDaemon, folder: Path, started: int) -> None:
    """Until so many jobs have started in all, and the last two run with all that they start."""
    until(lambda: len(lines(folder / "starts")) == started, f"{started} have started; log:\n{server.log}")
    until(lambda: len(server.job_processes()) >= 2 * 6, "with all that they start", 5)


def test_cancelling_ends_retries(tmp_path: Path) -> None:
    """One that waits for another attempt is cancelled at once, one in an attempt isn't tried again."""
    kinds = {
        "failing": {"command": ["false"], "retries": 5, "backoff": 60},
        "running": {"command": ["sleep", "60"], "retries": 5, "backoff": 0},
    }
    with JobsDaemon(tmp_path, kinds, jobs_grace=GRACE) as server:
        (waiting,), (running,) = server.submit("failing"), server.submit("running")
        until(lambda: (job := server.job(waiting))["status"] == PENDING and job["attempt"] == 1, "it has failed once")
        server.wait_status(running, RUNNING)
        assert cancel(server, waiting).status == 200
        assert cancel(server, running).status == 202
        for job_id in (waiting, running):
            job = server.wait_status(job_id, CANCELLED)
            assert job["attempt"] == 1
            assert job["cancel_requested"] is True
        server.assert_books_agree()
