"""What is known of a daemon, from its answers and messages."""

import pytest

from hvd.cli.top.model import WINDOW, Model
from hvd.metrics.columns import DETAILS
from tests.unit.cli.top.data import detail, history, job, metrics, model, route, worker

END = 1769200198.0


def test_messages_become_the_model() -> None:
    """Numbers, lists, history, version."""
    known = model(7.0)
    assert (known.raw["http_requests"], known.received, known.version) == (1250, 7.0, "0.1.0")
    assert [row["pid"] for row in known.workers] == [11, 12]
    assert len(known.routes) == 2
    assert len(known.points) == 201
    assert [row["id"] for row in known.jobs] == ["a", "b"]


@pytest.mark.parametrize(
    "message",
    [{}, {"type": "metrics"}, {"type": "metrics", "data": 1}, {"type": "metrics", "data": {"raw": []}}, {"type": 7}],
)
def test_what_is_not_known_changes_nothing(message: dict[str, object]) -> None:
    """A daemon of another version may send it."""
    known = model()
    assert known.with_message(message, 200.0) == known


def test_odd_data_is_left_out() -> None:
    """Never an exception."""
    odd = detail(workers=[1, None, worker(5, 1)], routes="x", point=[1], restarts="many")
    known = Model().with_message(odd, 1.0)
    assert ([row["pid"] for row in known.workers], known.routes, known.points) == ([5], (), ())
    assert known.restarts is None
    assert Model().with_history({"columns": 1, "points": [[1]]}).points == ()
    assert Model().with_history({"columns": ["time"], "points": [1, ["x"], [5.0]]}).points == ({"time": 5.0},)


def test_the_history_is_bounded_and_has_each_point_once() -> None:
    """Fifteen minutes, however long one looks on. The history and the first message may have the same point."""
    known = Model().with_history(history(3)).with_message(detail(point={"time": END, "p50": 1.0}), 1.0)
    assert [row["time"] for row in known.points] == [END - 4, END - 2, END]
    for second in range(int(END) + 1000, int(END) + 1000 + 3 * int(WINDOW), 2):
        known = known.with_message(detail(point={"time": float(second)}), 1.0)
    assert len(known.points) == WINDOW / 2 + 1


def test_a_jobs_newest_state_is_kept() -> None:
    """Whether the message or the list of the metrics came first."""
    known = model().with_message({"type": "job_update", "data": job("a", "completed", 100.0, revision=3)}, 1.0)
    assert known.jobs[0]["status"] == "completed"
    known = known.with_message(metrics(), 2.0)
    assert known.jobs[0]["status"] == "completed"
    known = known.with_message({"type": "job_update", "data": job("new", "pending", 0.0, revision=1)}, 3.0)
    assert {row["id"] for row in known.jobs} == {"new", "a", "b"}


def test_jobs_that_were_asked_for_stay_with_the_newest() -> None:
    """In the newest state that is known; of two alike the last one, with what the other knew. An answer has all."""
    page = {"jobs": [job("a", "running", 30.0), job("old", "completed", 100.0, exit_code=0)], "total": 9, "next": "x"}
    known = model().with_jobs(page)
    assert {row["id"]: row["progress"] for row in known.jobs} == {"a": 40.0, "b": 10.0, "old": 100.0}
    assert (known.jobs_total, known.has_more_jobs) == (9, True)
    known = known.with_message(metrics(recent_jobs=[job("old", "completed", 100.0, duration_seconds=7.0)]), 2.0)
    assert [(row["duration_seconds"], row["exit_code"]) for row in known.jobs if row["id"] == "old"] == [(7.0, 0)]
    assert len(known.jobs) == 3
    known = known.with_jobs({"jobs": [], "total": None, "next": None})
    assert [row["id"] for row in known.jobs] == ["old"]
    assert not known.has_more_jobs


def test_a_snapshot_keeps_the_rates_that_it_does_not_know() -> None:
    """Of the same workers and routes."""
    answer = {"workers": [{"pid": 11}, {"pid": 99}], "routes": [{"route": "/hello"}], "post_mortems": [{"pid": 3}]}
    known = model().with_snapshot(answer, 5.0)
    assert [row.get("requests_per_second") for row in known.workers] == [2.5, None]
    assert known.routes[0]["requests_per_second"] == route("/hello", 1)["requests_per_second"]
    assert known.post_mortems == ({"pid": 3},)


def test_reasons_go_when_the_daemon_is_healthy() -> None:
    """They come with /health or a status message."""
    known = model().with_message(metrics(system_health="degraded"), 1.0).with_health({"reasons": ["disk full", 7]})
    assert known.reasons == ("disk full",)
    assert known.with_message(metrics(), 2.0).reasons == ()


def test_columns_are_as_the_daemon_tells() -> None:
    """In its history or in its status; one of the version before tells none, and has those that we know."""
    columns = [{"name": "time", "unit": "unix_seconds"}, {"name": "p50", "unit": "ms", "title": "half"}]
    assert Model().with_history(history(3)).columns == DETAILS
    known = Model().with_history(history(3) | {"column_details": columns})
    assert known.with_message({"type": "status", "data": {}}, 1.0).columns == tuple(columns)
    assert Model().with_message({"type": "status", "data": {"columns": columns}}, 1.0).columns == tuple(columns)


def test_a_longer_interval_is_learned_from_the_socket() -> None:
    """The history, which also tells it, comes by HTTP; its points are never closer than 2 s."""
    assert model().with_message({"type": "status", "data": {"interval_seconds": 10.0}}, 1.0).interval == 10.0
    assert model().with_message({"type": "status", "data": {"interval_seconds": 0.2}}, 1.0).interval == 2.0


def test_a_snapshot_that_was_asked_for_makes_a_point_of_the_history() -> None:
    """By its own time, each once; one without a time makes none."""
    known = Model().with_snapshot({**metrics()["data"]["raw"], "timestamp": "2026-01-23T20:30:00Z"}, 1.0)
    known = known.with_own_point().with_own_point()
    (point,) = known.points
    assert (point["time"], point["cpu_usage"], point["in_flight"]) == (1769200200.0, 12.5, 1)
    assert Model().with_snapshot({"timestamp": "soon"}, 1.0).with_own_point().points == ()
