"""What companions publish, written by one version and read by another."""

import json

import pytest

from hvd.companion.child import as_json
from hvd.metrics.companion_pages import NO_RATES, EndedJobs, OpenJobs, StuckWorker, decode
from tests.unit.figures import make_page, make_sample

JOBS = {
    "page": "jobs",
    "monotonic_ns": 7,
    "trouble": "",
    "open": [["plain", "pending", 2]],
    "ends": [["plain", "failed", 0, 2, 0.5]],
    "own": [],
    "recent": [{"id": "a"}],
    "read_ns": 6,
    "oldest_pending_seconds": 1.5,
}


def test_a_page_is_read_as_it_was_written() -> None:
    """Nothing is lost or changed on its way through the block; rows of counts have names."""
    page = make_page(make_sample("worker", 1, proportional=None))
    assert decode(as_json(page)) == page
    jobs = decode(json.dumps(JOBS).encode())
    assert jobs
    assert jobs["page"] == "jobs"
    assert jobs["open"] == [OpenJobs("plain", "pending", 2)]
    assert jobs["ends"] == [EndedJobs("plain", "failed", 0, 2, 0.5)]
    assert json.loads(as_json(jobs)) == JOBS


@pytest.mark.parametrize("data", [b"", b"{}", b'{"page": "of a later version", "monotonic_ns": 1}'])
def test_what_is_no_page_of_a_kind_that_is_known_is_none(data: bytes) -> None:
    """Nothing is published yet, or a companion of another version does."""
    assert decode(data) is None


def test_what_another_version_does_not_publish_is_zero_or_empty() -> None:
    """And what it publishes beside is kept, and does no harm."""
    page = decode(b'{"page": "aggregator", "monotonic_ns": 7, "processes": [{"pid": 1}], "later": 5}')
    known = make_page(make_sample("worker", 1))
    assert page
    assert page["page"] == "aggregator"
    assert set(page) == {*known, "later"}
    assert (page["memory_ns"], page["rates"], page["tasks"]) == (7, NO_RATES, 0)
    assert page["processes"] == [{**dict.fromkeys(known["processes"][0]), "pid": 1}]
    assert (page["with_open"]["p99_with_open"], page["busy_ratio"]) == (0, 0)
    assert page["queue_times"] == {"queue_time_p50": 0, "queue_time_p99": 0}
    assert decode(b'{"page": "admin", "monotonic_ns": 7}') == {
        "page": "admin",
        "monotonic_ns": 7,
        "busy_since_ns": 0,
        "backlog_since_ns": 0,
        "backlog": 0,
        "backlog_before": 0,
        "served_ns": 0,
        "deaths": 0,
        "stuck": [],
    }
    stuck = decode(b'{"page": "admin", "monotonic_ns": 7, "stuck": [[11, 5, 3]]}')
    assert stuck
    assert stuck["page"] == "admin"
    assert stuck["stuck"] == [StuckWorker(11, 5, 3)]
    jobs = decode(
        b'{"page": "jobs", "monotonic_ns": 7, "trouble": "disk full", "open": [["k", "running", 1, "later"]]}'
    )
    assert jobs
    assert jobs["page"] == "jobs"
    assert set(jobs) == set(JOBS)
    assert (jobs["open"], jobs["ends"], jobs["read_ns"]) == ([OpenJobs("k", "running", 1)], [], 7)
    assert jobs["oldest_pending_seconds"] is None


def test_a_runner_that_has_read_nothing_says_so() -> None:
    """Nobody takes its empty lists for counts."""
    page = decode(b'{"page": "jobs", "monotonic_ns": 7, "trouble": "disk full"}')
    assert page
    assert page["page"] == "jobs"
    assert (page["read_ns"], page["open"]) == (0, [])
