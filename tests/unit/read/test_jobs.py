"""What the job runner publishes → what clients see of jobs: every number from known ones."""

import json

from hvd.metrics.companion_pages import RecentJob
from hvd.read.jobs import JOB_COUNTS, build_job_totals, build_jobs, job_for_clients
from tests.unit.figures import SECOND, make_jobs

PAGE = make_jobs(
    open=[["convert", "running", 2], ["convert", "pending", 5], ["checksum", "pending", 1]],
    ends=[
        ["convert", "completed", 3, 4, 10.5],
        ["convert", "completed", 4, 1, 7.0],
        ["convert", "failed", 0, 2, 0.5],
        ["convert", "cancelled", 2, 1, 1.0],
        ["convert", "cancelled", -1, 9, 0.0],
        ["hash", "failed", 1, 3, 0.75],
        ["never", "cancelled", -1, 6, 0.0],
    ],
    own=[["convert", "completed", 3, 1, 2.0]],
    recent=[
        {"id": "b", "status": "running", "duration_seconds": 2.5},
        {"id": "a", "status": "failed", "duration_seconds": 2.5},
    ],
    read_ns=0,
)


def test_jobs_are_counted_over_all_kinds_and_daemons() -> None:
    """Of the whole queue, not only what this daemon ended."""
    jobs = build_jobs(PAGE, 0)
    assert [jobs[name] for name in JOB_COUNTS] == [2, 6, 5, 5, 16, 6]
    assert build_job_totals(jobs) == {
        "total_jobs": 34,
        "pending_jobs": 6,
        "running_jobs": 2,
        "completed_jobs": 5,
        "failed_jobs": 5,
        "cancelled_jobs": 16,
    }
    assert [job["id"] for job in jobs["recent_jobs"]] == ["b", "a"]
    assert json.loads(json.dumps(jobs)) == jobs


def test_what_runs_has_run_longer_than_when_it_was_read() -> None:
    """By the monotonic clock, and never less: the page may be from after the sums. What has ended has its duration."""
    for after, seconds in ((1.5, 4.0), (-0.5, 2.5)):
        jobs = build_jobs(PAGE, round(after * SECOND))["recent_jobs"]
        assert [job["duration_seconds"] for job in jobs] == [seconds, 2.5]


def test_clients_need_not_ask_before_they_format_a_job() -> None:
    """Also where an older hvd's job runner has published it: no field is null but the end that there is not."""
    job: RecentJob = {"id": "a", "kind": "convert", "name": "disk", "created_at": "2026-01-23T20:30:00.000Z"}
    unknown: RecentJob = {"start_time": None, "end_time": None, "duration_seconds": None, "error_msg": None}
    for_clients = job_for_clients({**job, **unknown, "status": "pending"})
    assert for_clients == {
        **job,
        "status": "pending",
        "provider": "convert",
        "vm_name": "disk",
        "start_time": job["created_at"],
        "end_time": None,
        "duration_seconds": 0.0,
        "error_msg": "",
    }
    assert job_for_clients(for_clients) == for_clients
    assert job_for_clients({**job, **unknown, "status": "running"}, 7)["duration_seconds"] == 0.0


def test_each_kind_has_its_mean_duration() -> None:
    """Of what ran, however it ended: a job that was cancelled while it waited took no time, and none counts for it."""
    stats = build_jobs(PAGE, 0)["provider_stats"]
    names = ("jobs_total", "jobs_active", "jobs_completed", "jobs_failed", "avg_duration_seconds")
    assert list(stats) == ["checksum", "convert", "hash", "never"]
    assert [tuple(kind.get(name) for name in names) for kind in stats.values()] == [
        (1, 0, 0, 0, 0.0),
        (24, 2, 5, 2, 2.375),
        (3, 0, 0, 3, 0.25),
        (6, 0, 0, 0, 0.0),
    ]


def test_a_runner_that_has_read_nothing_yet_is_no_error() -> None:
    """It says that it is in trouble before it has any figures; without a runner it is all the same."""
    nothing = build_jobs(None, 0)
    assert [nothing[name] for name in JOB_COUNTS] == [0] * len(JOB_COUNTS)
    assert (nothing["recent_jobs"], nothing["provider_stats"]) == ([], {})
    assert build_jobs(make_jobs(trouble="disk full"), 0) == nothing
