"""Queries and cancellations of many jobs, on a job service that keeps its jobs in a dict."""

import pytest

from hvd.jobs.ids import new_id
from hvd.web.job_sets import CANCEL_MAX
from tests.unit.web.job_service import Client, FakeJobService, problem_of


@pytest.mark.parametrize("member", ["ids", "job_ids"])
def test_many_jobs_are_looked_up(client: Client, service: FakeJobService, member: str) -> None:
    """In the order of the list."""
    ids = [service.add() for _ in range(3)][::-1]
    missing = new_id()
    result = client.post("/jobs/query", {member: [*ids, missing, "nonsense", ids[0]]})
    assert result.status_code == 200
    assert [job["id"] for job in result.json["jobs"]] == ids
    assert (result.json["unknown"], result.json["total"]) == ([missing, "nonsense"], 3)
    nothing = client.post("/jobs/query", {member: ["\ud800"]}).json
    assert (nothing["jobs"], nothing["unknown"], nothing["total"]) == ([], ["\ud800"], 0)


def test_the_newest_are_looked_up_by_what_they_are(client: Client, service: FakeJobService) -> None:
    """By a body or by parameters; `next` leads to older ones."""
    ids = [service.add() for _ in range(5)][::-1]
    for answer in (
        client.post("/jobs/query", {"all": True, "status": ["pending"], "limit": 2}),
        client.get("/jobs/query?all=true&status=pending&limit=2"),
    ):
        assert answer.status_code == 200
        assert ([job["id"] for job in answer.json["jobs"]], answer.json["next"]) == (ids[:2], ids[1])
        assert answer.json["total"] == 2
    for path in ("/jobs/query?all=true", "/jobs/query", "/jobs/query?all=1&limit=500"):
        assert [job["id"] for job in client.get(path).json["jobs"]] == ids
    assert client.get("/jobs/query?status=failed,failed,failed,failed,failed,failed").status_code == 200
    assert service.filters[:3] == [(["pending"], [], 3, None)] * 2 + [([], [], 501, None)]
    assert client.head("/jobs/query?all=true").status_code == 200


@pytest.mark.parametrize(
    "query", ["all=yes", "all=true&all=false", "all", "status=nope", "limit=0", "limit=501", "ids=x", "kind=a", "%ff=1"]
)
def test_wrong_parameters_are_400(client: Client, query: str) -> None:
    """Each is named."""
    assert query[:3] in problem_of(client.get(f"/jobs/query?{query}"), 400)["detail"].lower() or query == "%ff=1"


def test_many_jobs_are_cancelled(client: Client, service: FakeJobService) -> None:
    """And told what became of each."""
    ids = {status: service.add(status) for status in ("pending", "running", "completed", "failed")}
    missing = new_id()
    result = client.post("/jobs/cancel", {"ids": [*ids.values(), missing, "nonsense"]})
    assert result.status_code == 200
    assert {name: value for name, value in result.json.items() if name != "timestamp"} == {
        "cancelled": [ids["pending"]],
        "cancelling": [ids["running"]],
        "ended": [ids["completed"], ids["failed"]],
        "unknown": [missing, "nonsense"],
        "failed": [ids["completed"], ids["failed"], missing, "nonsense"],
        "errors": {
            **dict.fromkeys((ids["completed"], ids["failed"]), "the job had ended already"),
            **dict.fromkeys((missing, "nonsense"), "no job has this id"),
        },
        "total": 2,
        "remaining": 0,
    }
    assert client.post("/jobs/cancel", {"job_ids": ["x"]}).json["unknown"] == ["x"]


def test_all_jobs_are_cancelled(client: Client, service: FakeJobService) -> None:
    """One answer says how many, and how many are left."""
    pending, running = [service.add() for _ in range(3)], service.add("running")
    service.add("completed")
    first = client.post("/jobs/cancel", {"all": True, "limit": 2}).json
    assert (first["cancelled"], first["total"], first["remaining"]) == (pending[:2], 2, 2)
    rest = client.post("/jobs/cancel", {"all": True}).json
    assert (rest["cancelled"], rest["cancelling"], rest["total"], rest["remaining"]) == (pending[2:], [running], 2, 0)
    assert (rest["failed"], rest["errors"], rest["unknown"], rest["ended"]) == ([], {}, [], [])


def test_jobs_of_a_status_are_cancelled(client: Client, service: FakeJobService) -> None:
    """And no others."""
    pending, running = service.add(), service.add("running")
    assert client.post("/jobs/cancel", {"status": "running"}).json["cancelling"] == [running]
    assert service.jobs[pending].status == "pending"


@pytest.mark.parametrize("path", ["/jobs/query", "/jobs/cancel"])
@pytest.mark.parametrize(
    "body", [None, {}, {"ids": []}, {"ids": [7]}, {"ids": ["x"] * 1001}, {"all": True, "limit": CANCEL_MAX + 1}]
)
def test_what_selects_nothing_is_422(client: Client, path: str, body: object) -> None:
    """With pointers."""
    assert "pointer" in problem_of(client.post(path, body), 422)["errors"][0]
