"""What a client of /ws is told of jobs: one that formats each field without asking has something to format."""

import json
import os
import signal
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from hvd.jobs.states import CANCELLED, COMPLETED, FAILED, PENDING, RUNNING
from tests.support.jobs import JobsDaemon, shell
from tests.support.server import ROOT
from tests.support.waiting import PATIENCE, until
from tests.support.ws import RawWebSocket

WAIT = 'until [ -e "$0/gate" ]; do sleep 0.02; done'
STEPS = 'for n in $(seq 1 60); do echo "$n%"; sleep 0.03; done; ' + WAIT


class Ear:
    """A client that keeps all that it is told, with the monotonic time of each."""

    def __init__(self, server: JobsDaemon) -> None:
        self.heard: list[tuple[float, dict[str, Any]]] = []
        self._client = RawWebSocket(server.address, timeout=600)
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        try:
            while True:
                message = self._client.message("")
                self.heard.append((time.monotonic(), message))
        except OSError:
            pass

    def updates(self, job_id: str) -> list[tuple[float, dict[str, Any]]]:
        """The `job_update` messages of that job."""
        own = [(when, each["data"]) for when, each in self.heard if each["type"] == "job_update"]
        return [(when, job) for when, job in own if job["id"] == job_id]

    def jobs(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each job that a message tells of, with the message's type."""
        for _, message in list(self.heard):
            kind, data = message["type"], message["data"]
            jobs = {"metrics": data.get("raw", {}).get("recent_jobs"), "jobs": data.get("jobs"), "job_update": [data]}
            for job in jobs.get(kind) or []:
                yield kind, job

    def shown(self, job_id: str, status: str) -> bool:
        """Whether `recent_jobs` and `job_update` both had the job in that status, since when nothing is to come."""
        kinds = {kind for kind, job in self.jobs() if job["id"] == job_id and job["status"] == status}
        return {"metrics", "job_update"} <= kinds

    def __enter__(self) -> "Ear":
        return self

    def __exit__(self, *exc: object) -> None:
        self._client.sock.shutdown(2)
        self._thread.join()
        self._client.close()


def test_clients_can_format_every_state_of_a_job(tmp_path: Path) -> None:
    """Of `recent_jobs`, `jobs` and `job_update`; all tell the same of one revision, and not too often."""
    kinds = {
        "hold": {"command": shell(WAIT, tmp_path), "concurrency": 2},
        "steps": {"command": shell(STEPS, tmp_path), "progress": "([0-9]+)%"},
        "good": {"command": ["true"]},
        "bad": {"command": ["sh", "-c", "exit 3"], "retries": 1, "backoff": 0.3},
        "none": {"command": ["/nowhere/none"]},
        "again": {"command": shell(WAIT, tmp_path), "retries": 1, "backoff": 2.0},
    }
    with JobsDaemon(tmp_path, kinds) as server, Ear(server) as ear:
        (steps,), (again,) = server.submit("steps"), server.submit("again")
        held = server.submit("hold", 3)
        for job_id, status in ((held[0], RUNNING), (held[1], RUNNING), (held[2], PENDING), (again, RUNNING)):
            until(lambda each=job_id, state=status: ear.shown(each, state), f"a job is told as {status}")
        assert server.post("/jobs/cancel", {"ids": held[1:]}).status == 200
        (good,), (bad,), (none,) = server.submit("good"), server.submit("bad"), server.submit("none")
        until(
            lambda: [job["progress"] for _, job in ear.updates(steps)][-1:] == [60.0], "the progress told last is told"
        )
        ends = {held[1]: CANCELLED, held[2]: CANCELLED, good: COMPLETED, bad: FAILED, none: FAILED}
        for job_id, status in ends.items():
            until(lambda each=job_id, state=status: ear.shown(each, state), f"a job is told as {status}")
        os.kill(server.runner_pid, signal.SIGKILL)
        ends |= {held[0]: FAILED, steps: FAILED}
        until(lambda: ear.shown(again, PENDING), "one whose runner died is told to wait again", 20)
        (tmp_path / "gate").touch()
        ends |= {again: COMPLETED}
        for job_id, status in ends.items():
            until(lambda each=job_id, state=status: ear.shown(each, state), f"a job is told as {status}", 20)
        with Ear(server) as late:
            until(lambda: {"status", "jobs", "metrics"} <= {message["type"] for _, message in late.heard}, "a greeting")
        last = {job_id: server.job(job_id) for job_id in ends}

    client = ["node", str(ROOT / "tests" / "support" / "client.js")]
    messages = [message for _, message in ear.heard + late.heard]
    said = subprocess.run(
        client,
        input="\n".join(map(json.dumps, messages)),
        capture_output=True,
        text=True,
        check=True,
        timeout=60 * PATIENCE,
    ).stdout
    assert said == "", said

    revisions: dict[tuple[str, int], set[str]] = defaultdict(set)
    for _, job in [*ear.jobs(), *late.jobs()]:
        revisions[job["id"], job["revision"]].add(json.dumps({**job, "duration_seconds": 0}, sort_keys=True))
    odd = [told for told in revisions.values() if len(told) > 1]
    assert not odd, "\n".join(next(iter(odd), ()))
    running = [job["duration_seconds"] for kind, job in ear.jobs() if job["id"] == held[0] and job["status"] == RUNNING]
    assert running[-1] > 1.0, "it has run for as long as it has"
    assert {job["duration_seconds"] for _, job in ear.jobs() if job["id"] == held[2]} == {0.0}

    for job_id, status in ends.items():
        told = ear.updates(job_id)
        assert (told[-1][1]["status"], told[-1][1]["revision"]) == (status, last[job_id]["revision"])
        assert [each["revision"] for _, each in told] == sorted(each["revision"] for _, each in told)
        assert len(told) <= 3 * PATIENCE + 2 * (told[-1][0] - told[0][0]), "at most two a second, but for a late burst"
    assert len(ear.updates(steps)) >= 3, "its progress was told"
    assert all(one["progress"] <= other["progress"] for (_, one), (_, other) in pairwise(ear.updates(steps)))
