"""A PostgreSQL that hangs, and one that is away: other requests don't wait, running jobs run on, nothing is lost."""

import time
from pathlib import Path

from hvd.jobs.states import COMPLETED
from tests.support.jobs import Book, JobsDaemon, lines, post, shell, together
from tests.support.postgres import Postgres
from tests.support.waiting import PATIENCE, until

WAIT = 'echo "$HVD_JOB" >>"$0/starts"; until [ -e "$0/gate" ]; do sleep 0.02; done; echo "$HVD_JOB" >>"$0/ends"'
JOB = {"kind": "wait", "params": {}}


def submit(server: JobsDaemon) -> tuple[int, str]:
    """Status and text of the answer to a submission."""
    with server.connection(30) as connection:
        answer = post(connection, "/jobs/submit", JOB)
    return answer.status, answer.json().get("detail", "")


def test_an_outage(tmp_path: Path) -> None:
    """Of a lone daemon, for longer than its lease: first the server stands still, then it is gone."""
    with (
        Postgres() as postgres,
        JobsDaemon(
            tmp_path, {"wait": {"command": shell(WAIT, tmp_path)}}, database_url=postgres.database(), jobs_lease=1
        ) as server,
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
