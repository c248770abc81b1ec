"""Retrying a job: a new one of the same kind, name and parameters."""

import pytest

from hvd.errors import JobsError, QueueFull, StoreUnavailable
from tests.unit.web.job_service import Client, FakeJobService, problem_of


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_a_job_that_has_ended_is_done_once_more(client: Client, service: FakeJobService, status: str) -> None:
    """202 with a new job; a body isn't needed, and the old job stays what it is."""
    job_id = service.add(status)
    result = client.send(f"/jobs/{job_id}/retry", b"")
    assert result.status_code == 202
    (new,) = set(service.jobs) - {job_id}
    assert (result.json["id"], result.json["kind"], result.json["status"]) == (new, "checksum", "pending")
    assert service.jobs[job_id].status == status
    (submitted,) = service.submitted
    assert (submitted.kind.name, submitted.params, submitted.name) == ("checksum", {"file": "/a"}, "one")
    assert submitted.retry_of == job_id


@pytest.mark.parametrize("status", ["pending", "running"])
def test_an_open_job_is_not_retried(client: Client, service: FakeJobService, status: str) -> None:
    """409, with the job as it is."""
    job_id = service.add(status)
    answer = problem_of(client.post(f"/jobs/{job_id}/retry"), 409)
    assert status in answer["detail"]
    assert answer["job"]["id"] == job_id
    assert list(service.jobs) == [job_id]


def test_what_would_not_be_taken_today_is_not_retried(client: Client, service: FakeJobService) -> None:
    """422: the kind is gone, or its parameters are others by now; 404 for a job that there is not."""
    gone, job_id = service.add("failed", "no more"), service.add("failed")
    assert problem_of(client.post(f"/jobs/{gone}/retry"), 422)["errors"][0]["pointer"] == "/kind"
    service.jobs[job_id].params = {"old": "/a"}
    assert problem_of(client.post(f"/jobs/{job_id}/retry"), 422)["errors"][0]["pointer"] == "/params/file"
    for name in ("x", "019ab6b1-0000-7000-8000-000000000000"):
        assert "No job has the id" in problem_of(client.post(f"/jobs/{name}/retry"), 404)["detail"]
    assert len(service.jobs) == 2


def test_a_repeated_retry_makes_one_job(client: Client, service: FakeJobService) -> None:
    """Under its key; the key is for this job's retry alone."""
    job_id, other = service.add("failed"), service.add("failed")
    first = client.send(f"/jobs/{job_id}/retry", b"", Idempotency_Key="k")
    again = client.send(f"/jobs/{job_id}/retry", b"", Idempotency_Key="k")
    assert (first.status_code, again.status_code, again.json["id"]) == (202, 202, first.json["id"])
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    problem_of(client.send(f"/jobs/{other}/retry", b"", Idempotency_Key="k"), 422)
    problem_of(client.send(f"/jobs/{other}/retry", b"", Idempotency_Key=""), 400)
    assert len(service.jobs) == 3


@pytest.mark.parametrize(("error", "status"), [(QueueFull("full"), 429), (StoreUnavailable("away"), 503)])
def test_what_a_submission_is_refused_for_a_retry_is_too(
    client: Client, service: FakeJobService, error: JobsError, status: int
) -> None:
    """With the time to come back."""
    job_id = service.add("failed")
    service.refusal = error
    result = client.post(f"/jobs/{job_id}/retry")
    problem_of(result, status)
    assert "retry-after" in result.headers
