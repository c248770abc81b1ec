"""The jobs' endpoints, on a job service that keeps its jobs in a dict."""

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hvd.errors import JobsError, KeyConflict, QueueFull, StoreNewer, StoreUnavailable
from hvd.jobs.ids import new_id
from hvd.jobs.listing import OPEN_FIRST, Filter, Place, Wanted
from hvd.web.jobs import QUIET, Failures
from tests.unit.web.job_service import GOOD, Client, FakeJobService, problem_of

POSTS = ("/jobs/submit", "/jobs/query", "/jobs/cancel", "/jobs/ID/cancel", "/jobs/ID/retry")
GETS = ("/jobs", "/jobs/kinds", "/jobs/query", "/jobs/ID", "/jobs/ID/output")


def test_a_job_is_taken(client: Client, service: FakeJobService) -> None:
    """202 with its id."""
    result = client.post("/jobs/submit", GOOD)
    assert result.status_code == 202
    answer = result.json
    assert answer.pop("timestamp").endswith("Z")
    assert answer == {"job_ids": list(service.jobs), "accepted": 1, "rejected": 0, "errors": []}
    assert result.headers["cache-control"] == "no-store"


def test_of_many_jobs_the_good_ones_are_taken(client: Client, service: FakeJobService) -> None:
    """202 as long as one is, with what is wrong with the others."""
    jobs = [GOOD, {"kind": "checksum", "params": {}}, GOOD]
    bare = client.post("/jobs/submit", jobs)
    assert (bare.status_code, bare.json["accepted"], bare.json["errors"][0]["pointer"]) == (202, 2, "/1/params/file")
    service.jobs.clear()
    result = client.post("/jobs/submit", {"jobs": jobs})
    assert result.status_code == 202
    assert (result.json["accepted"], result.json["rejected"]) == (2, 1)
    assert result.json["errors"] == [{"pointer": "/jobs/1/params/file", "detail": "is missing"}]
    assert len(service.jobs) == 2


@pytest.mark.parametrize(
    ("body", "rejected", "pointer"),
    [
        ({"kind": "nope", "params": {}}, 1, "/kind"),
        ({"jobs": [{}, 7]}, 2, "/jobs/0/kind"),
        ({"jobs": []}, 0, "/jobs"),
        (None, 1, ""),
    ],
)
def test_where_all_are_wrong_none_is_taken(
    client: Client, service: FakeJobService, body: object, rejected: int, pointer: str
) -> None:
    """422: a problem with the same four members."""
    answer = problem_of(client.post("/jobs/submit", body), 422)
    assert (answer["job_ids"], answer["accepted"], answer["rejected"]) == ([], 0, rejected)
    assert answer["errors"][0]["pointer"] == pointer
    assert (pointer or "The body") in answer["detail"]
    assert not service.jobs


def test_a_repeated_submission_gets_the_first_ones_answer(client: Client, service: FakeJobService) -> None:
    """With a header that says so; other jobs under the same key are a mistake."""
    first = client.post("/jobs/submit", GOOD, Idempotency_Key="k 1")
    again = client.post("/jobs/submit", dict(reversed(GOOD.items())), Idempotency_Key="k 1")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json["job_ids"] == again.json["job_ids"]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert len(service.jobs) == 1
    problem_of(client.post("/jobs/submit", GOOD | {"name": "x"}, Idempotency_Key="k 1"), 422)
    assert client.post("/jobs/submit", GOOD, Idempotency_Key="k 2").json["job_ids"] != first.json["job_ids"]


def test_the_loser_of_two_submissions_with_one_key_is_told(client: Client, service: FakeJobService) -> None:
    """It comes while the first one is being taken: its answer is the first one's, and says so."""
    service.answers_of_others["k"] = {"job_ids": ["x"], "accepted": 1, "rejected": 0, "errors": []}
    late = client.post("/jobs/submit", GOOD, Idempotency_Key="k")
    assert (late.status_code, late.json["job_ids"], late.headers["idempotent-replayed"]) == (202, ["x"], "true")


def test_jobs_are_listed_newest_first_in_pages(client: Client, service: FakeJobService) -> None:
    """`next` leads from page to page, and is null on the last one."""
    ids = [service.add() for _ in range(5)]
    seen, before = [], ""
    for _ in range(3):
        page = client.get(f"/jobs?limit=2{before}").json
        seen += [job["id"] for job in page["jobs"]]
        before = f"&before={page['next']}"
    assert seen == ids[::-1]
    assert (page["next"], page["total"]) == (None, 5)
    assert client.get("/jobs?limit=5").json["next"] is None


def test_filters_reach_the_service(client: Client, service: FakeJobService) -> None:
    """Separated by commas or given again, but for what is searched for, in which a comma is a comma."""
    job_id = service.add()
    path = f"/jobs?status=pending,running&kind=a,b&kind=c&search=%C3%84,%25&limit=500&before={job_id}"
    assert client.get(path).status_code == 200
    assert client.get(f"/jobs?order=open&before=running.{job_id}").status_code == 200
    assert client.get("/jobs").status_code == 200
    assert service.wanted == [
        Wanted(Filter(["pending", "running"], ["a", "b", "c"], "Ä,%"), 500, Place(job_id)),
        Wanted(Filter([], []), 50, Place(job_id, "running"), OPEN_FIRST),
        Wanted(Filter([], []), 50),
    ]


def test_in_the_order_of_what_is_open_next_says_the_group(client: Client, service: FakeJobService) -> None:
    """A job may have ended by the time that the next page is asked for."""
    ids = [service.add("running") for _ in range(2)]
    assert client.get("/jobs?order=open&limit=1").json["next"] == f"running.{ids[1]}"


def test_one_job_is_shown(client: Client, service: FakeJobService) -> None:
    """HEAD says the same without it."""
    job_id = service.add()
    assert client.get(f"/jobs/{job_id}").json == {"id": job_id, "kind": "checksum", "status": "pending"}
    head = client.head(f"/jobs/{job_id}")
    assert (head.status_code, head.content, head.headers["content-type"]) == (200, b"", "application/json")
    for path in ("/jobs", "/jobs/kinds"):
        assert client.head(path).status_code == 200


@pytest.mark.parametrize("job_id", ["x", "019ab6b1-0000-7000-8000-000000000000", "%00", "%ff", "..", "a" * 5000, "%1b"])
def test_an_id_that_is_none_is_404(client: Client, job_id: str) -> None:
    """Well-formed or not, to look at and to cancel."""
    assert problem_of(client.get(f"/jobs/{job_id}"), 404)["detail"].isprintable()
    problem_of(client.post(f"/jobs/{job_id}/cancel"), 404)


@pytest.mark.parametrize(("status", "code"), [("pending", 200), ("running", 202)])
def test_an_open_job_is_cancelled(client: Client, service: FakeJobService, status: str, code: int) -> None:
    """At once, or told to end. A body isn't needed."""
    job_id = service.add(status)
    result = client.send(f"/jobs/{job_id}/cancel", b"")
    assert (result.status_code, result.json["id"]) == (code, job_id)


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_an_ended_job_is_a_conflict(client: Client, service: FakeJobService, status: str) -> None:
    """409, with the job as it is."""
    job_id = service.add(status)
    answer = problem_of(client.post(f"/jobs/{job_id}/cancel"), 409)
    assert status in answer["detail"]
    assert answer["job"]["id"] == job_id


def test_kinds_are_told_without_what_is_the_operators(client: Client) -> None:
    """No command, environment or folder."""
    result = client.get("/jobs/kinds")
    assert result.json["kinds"]["checksum"] == {"params": {"file": {"type": "path", "required": True}}}
    assert "secret" not in result.text.lower()


def test_without_kinds_no_path_is_served() -> None:
    """404, saying what to do."""
    client = Client(None)
    for path in ("/jobs", "/jobs/kinds", f"/jobs/{new_id()}"):
        assert "[jobs.kinds]" in problem_of(client.get(path), 404)["detail"]
    for path in POSTS:
        assert "[jobs.kinds]" in problem_of(client.post(path, GOOD), 404)["detail"]


def test_a_client_that_takes_no_json_is_told_before_anything_happens(client: Client, service: FakeJobService) -> None:
    """406: it couldn't learn what became of its job."""
    problem_of(client.post("/jobs/submit", GOOD, Accept="text/html"), 406)
    problem_of(client.get("/jobs", Accept="text/html"), 406)
    assert not service.jobs


def test_changes_need_the_token_where_others_reach_the_daemon(service: FakeJobService) -> None:
    """401 before the body is looked at; looking needs none."""
    client = Client(service, "0.0.0.0:8080", "secret")
    job_id = service.add()
    for path in ("/jobs/submit", "/jobs/cancel", f"/jobs/{job_id}/cancel", f"/jobs/{job_id}/retry"):
        result = client.send(path, b"nonsense")
        problem_of(result, 401)
        assert result.headers["www-authenticate"].startswith("Bearer ")
    assert client.post("/jobs/submit", GOOD, Authorization="Bearer secret").status_code == 202
    assert client.post("/jobs/query", {"ids": [job_id]}).status_code == 200
    assert client.get(f"/jobs/{job_id}").status_code == 200


def test_a_page_of_another_site_is_refused(client: Client, service: FakeJobService) -> None:
    """By what its browser says, whatever it asks for: it may read no job either."""
    job_id = service.add()
    service.outputs = Path("/nowhere")
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}):
        for path in POSTS:
            problem_of(client.post(path.replace("ID", job_id), GOOD, **headers), 403)
        for path in GETS:
            problem_of(client.get(path.replace("ID", job_id), **headers), 403)
    own = {"Origin": "http://falconframework.org", "Host": "falconframework.org"}
    for path in GETS:
        assert client.get(path.replace("ID", job_id)).status_code == 200
        problem_of(client.get(path.replace("ID", job_id), **own), 403)  # a name that may have been led to 127.0.0.1
    assert len(service.jobs) == 1


@pytest.mark.parametrize("path", ["/jobs/submit", "/jobs/cancel"])
def test_what_is_posted_to_is_not_got(client: Client, path: str) -> None:
    """405 with what would do: these words are no ids."""
    result = client.get(path)
    problem_of(result, 405)
    assert "POST" in result.headers["allow"]


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (StoreUnavailable("the database is read-only"), 503, True),
        (StoreNewer("schema 9 is of a newer hvd"), 503, True),
        (QueueFull("the queue is full"), 429, True),
        (KeyConflict("the key was used"), 422, False),
    ],
)
def test_what_the_store_can_not_do_is_told(
    client: Client, service: FakeJobService, error: JobsError, status: int, retry: bool
) -> None:
    """On every path, with the time to come back where that helps."""
    job_id = service.add()
    service.error = error
    results = [client.post("/jobs/submit", GOOD), client.post("/jobs/query", {"ids": [job_id]})]
    results += [client.post("/jobs/cancel", {"ids": [job_id]}), client.post(f"/jobs/{job_id}/cancel")]
    results += [client.get("/jobs"), client.get(f"/jobs/{job_id}")]
    for result in results:
        assert problem_of(result, status)["detail"].lower() == error.public
        assert ("retry-after" in result.headers) is retry


def test_strangers_read_no_address_of_the_database(client: Client, service: FakeJobService) -> None:
    """Which user, host or file it is, is for the log."""
    service.error = StoreUnavailable("postgresql://hvd@db.internal/jobs can't be used: no such user hvd")
    assert (
        problem_of(client.get("/jobs"), 503)["detail"] == "The jobs' database can't be used: the daemon's log says why"
    )


def test_a_database_that_is_away_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """One line for each text, then silence for a while; what is the client's mistake is not logged at all."""
    now = [100.0]
    handler = Failures(clock=lambda: now[0])

    def fail(error: Any) -> None:
        with pytest.raises(Exception, match=r"4\d\d|503"):
            handler(Any, Any, error, {})  # type: ignore[arg-type]

    with caplog.at_level(logging.ERROR, "hvd.web"):
        for _ in range(50):
            fail(StoreUnavailable("disk full"))
            fail(StoreNewer("schema 9"))
            fail(QueueFull("full"))
            fail(KeyConflict("used"))
        assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
            "jobs: disk full",
            "jobs: schema 9",
        ]
        now[0] += QUIET
        fail(StoreUnavailable("disk full"))
        assert len(caplog.records) == 3
        for index in range(1000):
            fail(StoreUnavailable(f"text {index}"))
        assert len(caplog.records) < 20


def test_a_daemon_without_kinds_loads_neither_the_database_library_nor_the_schemas() -> None:
    """The app is loaded by every worker of every daemon."""
    names = ("sqlalchemy", "jsonschema", "rich")
    script = f"import hvd.web.wsgi, sys; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
