"""Workers in spans of time."""

from dataclasses import replace

from hvd.core.totals import Heads
from hvd.metrics.spans import SpanRecord, WorkerLook
from hvd.read.worker_spans import COLUMNS, worker_looks, worker_points, worker_span
from tests.unit.figures import make_sample, make_totals, make_worker
from tests.unit.spans import SECOND

LOOK = WorkerLook(9, 11, "worker", 0, 100, 4, 2.0, 1000, 1, 1)


def test_a_look_has_what_the_worker_did_and_uses() -> None:
    """What was not observed is None."""
    slots = make_worker(11, Heads(finished=7, errors=3, in_flight=1, server_errors=2)), make_worker(12)
    first, second = worker_looks(make_totals({}, slots=slots), [make_sample("worker", 11)])
    assert first == WorkerLook(8, 11, "worker", slots[0].slot.taken_ns, 7, 3, 2.25, 20_000_000, 1, 2)
    assert (second.cpu_seconds, second.memory_bytes) == (None, None)


def test_a_worker_did_what_came_since() -> None:
    """Or all that it ever did, where it began in the span."""
    later = LOOK._replace(requests=130, errors=9, server_errors=3, cpu_seconds=3.5, memory_bytes=2000)
    assert worker_span(later, LOOK, 10) == {
        "requests": 30,
        "requests_per_second": 3,
        "errors": 5,
        "client_errors": 3,
        "server_errors": 2,
        "cpu_percent": 15,
        "memory_bytes": 2000,
    }
    assert worker_span(LOOK, None, 50)["requests_per_second"] == 2
    assert worker_span(later, LOOK._replace(cpu_seconds=None), 10)["cpu_percent"] is None
    assert worker_span(later, LOOK, 0)["cpu_percent"] is None


def record(end: int, *looks: WorkerLook) -> SpanRecord:
    return SpanRecord((end - 10) * SECOND, end * SECOND, workers=looks)


def test_points_are_between_two_looks_at_the_same_process() -> None:
    """A worker that took the slot over has points of its own; the first look at an old one gives none."""
    young = LOOK._replace(pid=12, taken_ns=112 * SECOND, requests=16, errors=0, server_errors=0, cpu_seconds=None)
    records = [
        record(100, LOOK),
        record(110, LOOK._replace(requests=150, errors=14, server_errors=8, cpu_seconds=2.5)),
        record(120, young),
        record(130, young._replace(requests=20, in_flight=3)),
    ]
    wall_ns = 0
    workers = worker_points(records, wall_ns, 0, 200 * SECOND)
    assert [(worker["pid"], worker["slot"]) for worker in workers] == [(11, 9), (12, 9)]
    assert workers[0]["points"] == [[110, 5, 1, 5, 1000, 1, 0.7, 0.3]]
    assert workers[1]["points"] == [[120, 2, 0, None, 1000, 1, 0, 0], [130, 0.4, 0, None, 1000, 3, 0, 0]]
    assert all(len(point) == len(COLUMNS) for worker in workers for point in worker["points"])
    assert [worker["pid"] for worker in worker_points(records, wall_ns, 0, 200 * SECOND, pid=12)] == [12]
    assert worker_points(records, wall_ns, 125 * SECOND, 200 * SECOND) == [
        {**workers[1], "points": workers[1]["points"][1:]}
    ]
    assert worker_points(records, 100 * SECOND, 0, 105 * SECOND) == [], (
        "a clock set forward since: nobody knows its age"
    )
    unix = [replace(one, from_ns=one.from_ns + 5 * SECOND, to_ns=one.to_ns + 5 * SECOND) for one in records]
    assert worker_points(unix, 5 * SECOND, 0, 200 * SECOND)[1]["points"][0][1] == 2
