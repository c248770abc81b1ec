"""Workers in spans of time: what each did, from looks at them at the ends of spans. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final, TypedDict

from hvd.core import layout
from hvd.core.totals import Totals
from hvd.metrics.companion_pages import ProcessSample
from hvd.metrics.spans import SpanRecord, WorkerLook
from hvd.read.spans import rate_of

COLUMNS = (
    *("time", "requests_per_second", "errors_per_second", "cpu_percent", "memory_bytes", "in_flight"),
    *("server_errors_per_second", "client_errors_per_second"),
)
"""Of a worker's points."""

_ERRORS: Final = "errors", "server_errors", "client_errors"
_YOUNG = 1.5
"""Of a span: a worker that has lived no longer began in it, or a moment before."""


class WorkerSpan(TypedDict):
    """What a worker did in a span of time; memory at its end."""

    requests: int
    requests_per_second: float
    errors: int
    client_errors: int
    server_errors: int
    cpu_percent: float | None
    memory_bytes: int | None


class WorkerPoints(TypedDict):
    """A worker and its points, each a row with a value for each of COLUMNS; null where one is not known."""

    pid: int
    slot: int
    kind: str
    points: list[list[float | None]]


def worker_looks(totals: Totals, processes: Iterable[ProcessSample]) -> list[WorkerLook]:
    """The workers and joined processes of now, with what was observed of them."""
    samples = {sample["pid"]: sample for sample in processes}
    return [
        WorkerLook(
            slot.slot.number,
            slot.slot.pid,
            slot.slot.kind_name,
            slot.slot.taken_ns,
            slot.heads.finished,
            slot.heads.errors,
            sample["cpu_seconds"] if sample else None,
            sample["proportional"] if sample else None,
            slot.heads.in_flight,
            slot.heads.server_errors,
        )
        for slot in totals.slots
        if slot.slot.kind in (layout.KIND_WORKER, layout.KIND_JOINED) and slot.slot.pid
        for sample in [samples.get(slot.slot.pid)]
    ]


def worker_span(now: WorkerLook, before: WorkerLook | None, seconds: float) -> WorkerSpan:
    """What a worker did in those seconds, since `before`, or since it took its slot."""
    requests = now.requests - (before.requests if before else 0)
    errors = now.errors - (before.errors if before else 0)
    server_errors = now.server_errors - (before.server_errors if before else 0)
    cpu = None
    if now.cpu_seconds is not None and (before is None or before.cpu_seconds is not None):
        cpu = now.cpu_seconds - ((before.cpu_seconds or 0.0) if before else 0.0)
    return {
        "requests": requests,
        "requests_per_second": rate_of(requests, seconds),
        "errors": errors,
        "client_errors": max(0, errors - server_errors),
        "server_errors": server_errors,
        "cpu_percent": None if cpu is None or seconds <= 0 else round(100 * max(0.0, cpu) / seconds, 2),
        "memory_bytes": now.memory_bytes,
    }


def tenure(look: WorkerLook) -> tuple[int, int]:
    """Which process it is: a slot is taken again and again, and a pid may be another's one day."""
    return look.slot, look.taken_ns


def worker_points(
    records: Sequence[SpanRecord], wall_ns: int, from_ns: int, to_ns: int, pid: int | None = None
) -> list[WorkerPoints]:
    """Those of all workers, or of one, in that time: a point for each record where the one before knows the worker, or
    in which it began. `wall_ns` is how far Unix time is ahead of the monotonic clock.
    """
    workers: dict[tuple[int, int], WorkerPoints] = {}
    before: dict[tuple[int, int], WorkerLook] = {}
    for record in records:
        for look in record.workers:
            if pid is not None and look.pid != pid:
                continue
            points = workers.setdefault(
                tenure(look), {"pid": look.pid, "slot": look.slot, "kind": look.kind, "points": []}
            )["points"]
            past, age = before.get(tenure(look)), (record.to_ns - wall_ns - look.taken_ns) / 1e9
            if from_ns <= record.to_ns <= to_ns and (past or 0 < age <= _YOUNG * record.seconds):
                points.append(_point(record, look, past, record.seconds if past else age))
        before = {tenure(look): look for look in record.workers}
    return [worker for worker in workers.values() if worker["points"]]


def _point(record: SpanRecord, look: WorkerLook, past: WorkerLook | None, seconds: float) -> list[float | None]:
    span = worker_span(look, past, seconds)
    time = round(record.to_ns / 1e9, 3)
    errors, by_server, by_client = (rate_of(span[which], seconds) for which in _ERRORS)
    figures = span["requests_per_second"], errors, span["cpu_percent"], span["memory_bytes"], look.in_flight
    return [time, *figures, by_server, by_client]
