"""Jobs submitted by many clients at once: each runs exactly once, and everybody counts the same."""

from functools import partial
from pathlib import Path

from tests.support.jobs import Book, JobsDaemon, lines, post, shell, together, until_taken

CLIENTS, SINGLE, BATCH = 8, 25, 100  # jobs of a client: one by one, then in one body


def test_a_thousand_jobs_of_eight_clients_run_once_each(tmp_path: Path) -> None:
    """By what the jobs themselves wrote, the database, /metrics, /ws and the snapshot; nothing alarming is logged."""
    ran = tmp_path / "ran"
    kinds = {
        "note": {"command": shell('echo "$HVD_JOB" >>"$0"', ran)},
        "fail": {"command": shell('echo "$HVD_JOB" >>"$0"; exit 3', ran)},
    }
    with JobsDaemon(tmp_path, kinds, log_level="info") as server:

        def client() -> list[str]:
            one, batch = {"kind": "note", "params": {}}, [{"kind": "note", "params": {}, "name": "of many"}] * BATCH
            with server.connection() as connection:
                answers = [until_taken(lambda: post(connection, "/jobs/submit", one)) for _ in range(SINGLE)]
                answers.append(until_taken(lambda: post(connection, "/jobs/submit", {"jobs": batch})))
            assert {answer.status for answer in answers} == {202}
            assert not [answer for answer in answers if answer.json()["rejected"] or answer.json()["errors"]]
            return [job_id for answer in answers for job_id in answer.json()["job_ids"]]

        ids = [job_id for found in together([client] * CLIENTS) for job_id in found]
        assert len(ids) == len(set(ids)) == CLIENTS * (SINGLE + BATCH) == 1000
        server.wait_ended(40)
        assert sorted(lines(ran)) == sorted(ids)
        assert server.book() == Book({("note", "completed"): 1000})
        assert server.rows("SELECT DISTINCT attempt, exit_code, progress, error FROM hvd_jobs") == [(1, 0, 100.0, "")]
        server.assert_books_agree()
        assert not [line for line in server.alarms if "slow to answer" not in line], "eight write at once"

        failed = server.submit("fail", 20)
        server.wait_ended()
        assert sorted(lines(ran)) == sorted(ids + failed)
        assert server.book() == Book({("note", "completed"): 1000, ("fail", "failed"): 20})
        server.assert_books_agree()
        assert not server.job_processes()


def test_eight_submissions_of_one_key_at_once_are_one_job(tmp_path: Path) -> None:
    """Each gets the same answer; the key with another body is refused, and another key is another job."""
    ran = tmp_path / "ran"
    with JobsDaemon(tmp_path, {"note": {"command": shell('echo "$HVD_JOB" >>"$0"', ran)}}) as server:
        job = {"kind": "note", "params": {}}
        for key in map(str, range(10)):
            submit = partial(server.post, "/jobs/submit", job, Idempotency_Key=key)
            answers = together([partial(until_taken, submit)] * 8)
            assert {answer.status for answer in answers} == {202}
            assert len({answer.body for answer in answers}) == 1, answers
        other = server.post("/jobs/submit", {**job, "name": "other"}, Idempotency_Key="0")
        assert other.status == 422
        assert "Idempotency-Key" in other.json()["detail"]
        server.wait_ended()
        assert len(lines(ran)) == 10
        assert server.book() == Book({("note", "completed"): 10})
        server.assert_books_agree()
        assert not server.alarms


def test_a_full_queue_answers_429(tmp_path: Path) -> None:
    """What doesn't fit is refused with Retry-After, of a batch only that; it is taken once there is room."""
    gate = tmp_path / "gate"
    command = shell('until [ -e "$0" ]; do sleep 0.02; done', gate)
    with JobsDaemon(tmp_path, {"wait": {"command": command}}, jobs_concurrency=1, jobs_queue_limit=20) as server:
        (first,) = server.submit("wait")
        server.wait_status(first, "running")
        server.submit("wait", 15)
        job = {"kind": "wait", "params": {}}
        part = server.post("/jobs/submit", {"jobs": [job] * 10})
        assert part.status == 202
        assert (part.json()["accepted"], part.json()["rejected"], len(part.json()["job_ids"])) == (5, 5, 5)
        assert "full" in part.json()["errors"][0]["detail"]
        for answer in together([lambda: until_taken(lambda: server.post("/jobs/submit", job))] * 8):
            assert answer.status == 429
            assert int(answer.headers["retry-after"]) > 0
            assert answer.json()["status"] == 429
            assert "20" in answer.json()["detail"]
        assert server.open_jobs() == 21
        gate.touch()
        server.wait_ended()
        server.submit("wait")
        server.wait_ended()
        assert server.book() == Book({("wait", "completed"): 22})
        server.assert_books_agree()
        assert not server.alarms
