"""What was answered in a span of time, by series; and how such spans lie in the block, a record each.

A record is JSON, compressed. Counts are differences, so a record says all of its span; what a worker has done counts
from its start, so that nothing of it is lost with a record. Where a record has no room for all series, those with the
fewest responses are left out; the sums of all are in it whatever happens.
"""

import contextlib
import json
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

SECONDS = 10
"""Of a span, at least; where ticks are further apart, a span is a tick's."""

LEVEL = 6
_SERIES_BYTES, _BUCKET_BYTES = 10, 1.2  # that they take at least, compressed, as measured: more is not tried
_MARGIN = 0.95  # of the room that is tried next: how well the rest compresses is a guess

Labels = tuple[str, ...]
"""Method, route and status."""


class Sums(NamedTuple):
    """Responses, and of the completed ones the sum of durations in ns and counts by bucket, none of which is 0."""

    responses: int = 0
    duration_ns: int = 0
    buckets: Mapping[int, int] = {}


NOTHING = Sums()


class WorkerLook(NamedTuple):
    """A worker at the end of a span: what it has done since it took its slot (monotonic ns), and what it is doing."""

    slot: int
    pid: int
    kind: str
    taken_ns: int
    requests: int
    errors: int
    cpu_seconds: float | None
    memory_bytes: int | None
    in_flight: int
    server_errors: int


@dataclass(frozen=True)
class SpanRecord:
    """One span, in Unix ns: the sums of all responses, how many of them were errors, and each series that changed.
    `busy_ratio` is None where it is not known; `left_out` how many series there was no room for.
    """

    from_ns: int
    to_ns: int
    total: Sums = NOTHING
    client_errors: int = 0
    server_errors: int = 0
    series: Mapping[Labels, Sums] = field(default_factory=dict)
    workers: Sequence[WorkerLook] = ()
    busy_ratio: float | None = None
    left_out: int = 0

    @property
    def seconds(self) -> float:
        return (self.to_ns - self.from_ns) / 1e9


def add_sums(several: Iterable[Sums]) -> Sums:
    """All together."""
    responses = duration_ns = 0
    buckets: dict[int, int] = {}
    for one in several:
        responses += one.responses
        duration_ns += one.duration_ns
        for bucket, number in one.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + number
    return Sums(responses, duration_ns, buckets)


def encode_span(record: SpanRecord, room: int) -> bytes:
    """As it lies in the block, in at most `room` bytes: the sums of all need a tenth of what there is."""
    busiest_first = sorted(record.series.items(), key=lambda item: item[1].responses, reverse=True)
    workers: Sequence[WorkerLook] = record.workers
    sizes = accumulate(_SERIES_BYTES + _BUCKET_BYTES * len(sums.buckets) for _, sums in busiest_first)
    count = bisect_left(list(sizes), 1.2 * room)
    while len(data := _pack(record, busiest_first[:count], workers)) > room and (count or workers):
        workers = workers if count else ()
        count = int(count * min(_MARGIN, room / len(data)))
    return data


def _pack(record: SpanRecord, series: Sequence[tuple[Labels, Sums]], workers: Sequence[WorkerLook]) -> bytes:
    content = {
        "t": [record.from_ns, record.to_ns],
        "a": _cells(record.total),
        "e": [record.client_errors, record.server_errors],
        "s": [[*labels, *_cells(sums)] for labels, sums in series],
        "w": workers,
        "b": record.busy_ratio,
        "o": record.left_out + len(record.series) - len(series),
    }
    return zlib.compress(json.dumps(content, separators=(",", ":")).encode(), LEVEL)


def _cells(sums: Sums) -> list[Any]:
    return [sums.responses, sums.duration_ns, [number for pair in sums.buckets.items() for number in pair]]


def decode_span(data: bytes) -> SpanRecord | None:
    """The record that these bytes are; None for one of a form that this version doesn't know."""
    with contextlib.suppress(ValueError, TypeError, KeyError, zlib.error):
        content = json.loads(zlib.decompress(data))
        (from_ns, to_ns), (client_errors, server_errors) = content["t"], content["e"]
        return SpanRecord(
            from_ns,
            to_ns,
            _sums(content["a"]),
            client_errors,
            server_errors,
            {tuple(row[:3]): _sums(row[3:]) for row in content["s"]},
            [WorkerLook(*row) for row in content["w"]],
            content["b"],
            content["o"],
        )
    return None


def _sums(cells: Sequence[Any]) -> Sums:
    responses, duration_ns, pairs = cells
    return Sums(responses, duration_ns, dict(zip(pairs[::2], pairs[1::2], strict=True)))
