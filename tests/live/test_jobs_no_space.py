"""A jobs' database that can't be written, hangs or is away: clear answers, others don't wait, nothing is lost."""

import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hvd.jobs.states import COMPLETED
from hvd.web.jobs import QUIET
from tests.support.http import Response
from tests.support.jobs import Book, JobsDaemon, lines, shell, together
from tests.support.postgres import Postgres
from tests.support.waiting import PATIENCE, until

WAIT = 'echo "$HVD_JOB" >>"$0/starts"; until [ -e "$0/gate" ]; do sleep 0.02; done; echo "$HVD_JOB" >>"$0/ends"'


def kinds(folder: Path) -> dict[str, dict[str, Any]]:
    return {"wait": {"command": shell(WAIT, folder)}, "echo": {"command": ["echo", "hello"]}}


QUERY = """
import json, sqlite3, sys
print(json.dumps(sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, timeout=10).execute(sys.argv[2]).fetchall()))
"""


class Mounted(JobsDaemon):
    """A daemon whose state folder is mounted by `mount`, in a mount namespace of its own: nothing stays mounted."""

    def __init__(self, folder: Path, mount: str, **settings: Any) -> None:
        super().__init__(folder, kinds(folder), **settings)
        self.state.mkdir(exist_ok=True)
        script = f"{mount.format(self.state)} && exec " + " ".join(self.command)
        self.command = ["unshare", "--mount", "sh", "-c", script]

    def inside(self, *command: str) -> str:
        """Execute that where the daemon's mounts are -> what it printed."""
        enter = ("nsenter", "--mount", "--target", str(self.pid))
        return subprocess.run([*enter, *command], capture_output=True, text=True, check=True).stdout

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        path = self.database.removeprefix("sqlite:///")
        return [tuple(row) for row in json.loads(self.inside(sys.executable, "-c", QUERY, path, query))]


def assert_refused(answer: Response) -> None:
    """503, with when to come back, and where an operator has to look; no word of where the database is."""
    assert answer.status == 503, answer.body
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["status"] == 503
    assert answer.json()["detail"] == "The jobs' database can't be used: the daemon's log says why", answer.body


def assert_counting_goes_on(server: JobsDaemon) -> None:
    """Other requests are served and counted exactly."""
    before = server.counted()
    for _ in range(20):
        assert server.get("/hello").status == 200
        assert server.get("/status-of/404").status == 404
    after = server.counted()
    for answer in (("/hello", 200), ("/status-of/{code}", 404)):
        assert after[answer] == before.get(answer, 0) + 20
    assert server.snapshot()["system_health"] == "degraded"


def wait_degraded(server: JobsDaemon) -> None:
    """Until /health says so, with the reason."""

    def find() -> Any:
        health = server.get("/health").json()
        return health["status"] == "degraded" and [reason for reason in health["reasons"] if "can't be used" in reason]

    until(find, f"/health tells of the database; log:\n{server.log}", 15)
    assert any(name == "hvd_job_runner_up" and value == 0 for (name, _), value in server.metrics().items())


def assert_told_once(server: JobsDaemon, began: float) -> None:
    """Each process has logged the same trouble once; again if it has lasted, since `began`, for long enough."""
    found = [line for line in server.log.splitlines() if "can't be used: " in line]
    told = Counter(re.sub(r"^\[.*\[ERROR\] ", "", line) for line in found)
    assert 2 <= len(told) <= 4, f"by a worker and by the runner, of what SQLite finds: {found}"
    times = 1 + (time.monotonic() - began) // QUIET
    assert max(told.values()) <= 2 * times, f"there are two workers: {found}"
    assert "Traceback" not in server.log


def submit_until_refused(server: JobsDaemon) -> list[str]:
    """Batches until one is refused: what SQLite has allocated by then takes some -> the ids of those taken."""
    taken: list[str] = []
    body = {"jobs": [{"kind": "echo", "params": {}, "name": "n" * 200}] * 50}
    for _ in range(50):
        answer = server.post("/jobs/submit", body)
        if answer.status != 202:
            assert_refused(answer)
            return taken
        taken += answer.json()["job_ids"]
    raise AssertionError("a full disk refuses nothing")


def fill(folder: Path) -> Callable[[], None]:
    """Take all space there -> what gives it back."""
    path = folder / "filler"
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    assert path.stat().st_size > 100_000
    return path.unlink


def test_a_full_disk(tmp_path: Path) -> None:
    """Submissions get 503, ends of jobs wait; with space again all goes on, and each job has had one attempt."""
    with Mounted(tmp_path, "mount -t tmpfs -o size=2m tmpfs {}") as server:
        running = server.submit("wait", 8)
        until(lambda: len(server.rows("SELECT id FROM hvd_jobs WHERE status = 'running'")) == 8, "they run")
        began = time.monotonic()
        make_room = fill(Path(f"/proc/{server.pid}/root{server.state}"))  # as the daemon sees it, see proc(5)
        taken = submit_until_refused(server)
        (tmp_path / "gate").touch()
        until(lambda: len(lines(tmp_path / "ends")) == 8, "they end")
        wait_degraded(server)
        for _ in range(20):
            assert_refused(server.post("/jobs/submit", {"kind": "echo", "params": {}}))
        assert_counting_goes_on(server)
        assert server.get("/jobs").status == 200, "what is there can be read"
        assert_told_once(server, began)

        make_room()
        server.wait_ready(20)
        taken += server.submit("echo")
        server.wait_ended()
        assert server.book() == Book({("wait", COMPLETED): 8, ("echo", COMPLETED): len(taken)})
        assert server.rows("SELECT DISTINCT attempt, error FROM hvd_jobs") == [(1, "")]
        assert sorted(lines(tmp_path / "ends")) == sorted(running)
        server.assert_books_agree()


def test_a_read_only_database(tmp_path: Path) -> None:
    """The daemon starts all the same, says what is wrong, and works once the folder can be written."""
    with JobsDaemon(tmp_path, kinds(tmp_path)) as first:
        (old,) = first.submit("echo")
        first.wait_status(old, COMPLETED)
    mount = "mount --bind {0} {0} && mount -o remount,bind,ro {0}"
    server = Mounted(tmp_path, mount, instance=first.instance)
    began = time.monotonic()
    with server.start(ready=False):
        until(lambda: "Listening at" in server.log, f"it listens; log:\n{server.log}", 20)
        wait_degraded(server)
        for _ in range(20):
            assert_refused(server.post("/jobs/submit", {"kind": "echo", "params": {}}))
        assert server.post(f"/jobs/{old}/cancel", {}).status in (409, 503)  # by whether SQLite can read it there
        assert_counting_goes_on(server)
        assert_told_once(server, began)
        server.inside("mount", "-o", "remount,bind,rw", str(server.state))
        server.wait_ready(20)
        (new,) = server.submit("echo")
        server.wait_status(new, COMPLETED)
        for _ in range(10):
            server.submit("echo")  # by each worker, on each of its connections
        server.wait_ended()
        server.assert_books_agree()


def submit(server: JobsDaemon) -> tuple[int, str]:
    """Status and text of the answer to a submission."""
    answer = server.post("/jobs/submit", {"kind": "wait", "params": {}})
    return answer.status, answer.json().get("detail", "")


@pytest.mark.long(24)
def test_an_outage(tmp_path: Path) -> None:
    """Of a lone daemon, for longer than its lease: first the server stands still, then it is gone."""
    with (
        Postgres() as postgres,
        JobsDaemon(tmp_path, kinds(tmp_path), database_url=postgres.database(), jobs_lease=1) as server,
    ):
        running = server.submit("wait", 4)
        until(lambda: len(lines(tmp_path / "starts")) == 4, "they run")
        with postgres.standing_still():
            began = time.monotonic()
            answers = together([lambda: submit(server)] * 12)
            assert {status for status, _ in answers} == {503}
            for path in ("/health", "/metrics", "/api/v1/snapshot"):
                asked = time.monotonic()
                assert server.get(path).status == 200
                assert time.monotonic() - asked < 2 * PATIENCE, path
            assert time.monotonic() - began < 12 * PATIENCE
            until(lambda: server.get("/health").json()["status"] == "degraded", "/health tells of it", 30)
            reasons = str(server.get("/health").json()["reasons"])
        postgres.stop()
        until(lambda: submit(server)[0] == 503, "it is refused")
        until(lambda: "can't be used: the daemon's log" in submit(server)[1], "and why is for the log", 30)
        away = time.monotonic()
        until(lambda: time.monotonic() - away > 3, "longer than the lease", 5)
        reasons += str(server.get("/health").json()["reasons"])
        for secret in (str(postgres.folder), "hvd@", "test_"):
            assert secret not in reasons + str(answers)
        assert lines(tmp_path / "ends") == []
        assert len(server.job_processes()) >= 4, "nobody else could have had them"
        (tmp_path / "gate").touch()
        until(lambda: len(lines(tmp_path / "ends")) == 4, "they end in peace")
        postgres.start()
        server.wait_ready(40)
        more = server.submit("wait")
        server.wait_ended()
        assert server.rows("SELECT DISTINCT attempt, error FROM hvd_jobs") == [(1, "")]
        assert sorted(lines(tmp_path / "ends"))[:4] == sorted([*running, *more])[:4]
        book = server.book()
        assert book == Book({("wait", COMPLETED): book["wait", COMPLETED]})
        server.assert_books_agree()
