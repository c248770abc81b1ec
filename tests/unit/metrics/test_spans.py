"""Spans as they lie in the block: what is written is read, and what has no room is the least busy."""

import json
import random
import zlib

from hvd.core import layout
from hvd.core.durations import BUCKETS
from hvd.metrics.spans import SpanRecord, Sums, WorkerLook, add_sums, decode_span, encode_span
from tests.unit.spans import random_sums

ROOM = layout.SPAN_BYTES - 24
WORKERS = [
    WorkerLook(9, 11, "worker", 5, 100, 3, 1.25, 2**30, 4, 2),
    WorkerLook(10, 12, "joined", 6, 0, 0, None, None, 0, 0),
]


def record(series: int, seed: int = 3) -> SpanRecord:
    order = random.Random(seed)
    sums = {("GET", f"/{n}", order.choice(("200", "404", "503"))): random_sums(order, 50) for n in range(series)}
    return SpanRecord(10**18, 10**18 + 10**10, add_sums(sums.values()), 5, 7, sums, WORKERS, 0.25)


def test_what_is_written_is_read() -> None:
    """Every figure of it."""
    written = record(70)
    data = encode_span(written, ROOM)
    assert len(data) <= ROOM
    assert decode_span(data) == written
    assert written.seconds == 10
    empty = SpanRecord(1, 2)
    assert decode_span(encode_span(empty, ROOM)) == SpanRecord(1, 2, workers=[])


def test_the_least_busy_series_are_left_out() -> None:
    """And counted; the sums are of all, and the workers are there."""
    written = record(2000)
    known = decode_span(encode_span(written, ROOM))
    assert known
    assert 150 < len(known.series) == 2000 - known.left_out
    assert (known.total, known.client_errors, known.server_errors) == (written.total, 5, 7)
    assert known.workers == WORKERS
    assert known.series.items() <= written.series.items()
    least = min(sums.responses for sums in known.series.values())
    assert all(sums.responses <= least for labels, sums in written.series.items() if labels not in known.series)


def test_the_sums_of_all_fit_whatever_else_there_is() -> None:
    """With counts in every bucket, and more workers than there is room for."""
    total = Sums(2**62, 2**62, {bucket: 2**60 + bucket**9 for bucket in range(BUCKETS)})
    order = random.Random(1)
    looks = [
        WorkerLook(n, *(order.getrandbits(31),), "worker", *(order.getrandbits(60) for _ in range(3)), 0.1, 1, 1, 0)
        for n in range(2000)
    ]
    data = encode_span(SpanRecord(1, 2, total, series={("GET", "/", "200"): total}, workers=looks), ROOM)
    known = decode_span(data)
    assert known
    assert len(data) <= ROOM
    assert (known.total, known.workers) == (total, [])


def test_another_form_is_passed_over() -> None:
    """As another version may write it; more than is known does no harm."""
    assert decode_span(b"garbage") is None
    assert decode_span(zlib.compress(b"[]")) is None
    assert decode_span(zlib.compress(b'{"t":[1,2]}')) is None
    content = json.loads(zlib.decompress(encode_span(record(1), ROOM)))
    assert decode_span(zlib.compress(json.dumps({**content, "new": 1}).encode())) == record(1)


def test_sums_add_up() -> None:
    """Bucket by bucket."""
    assert add_sums([]) == Sums()
    assert add_sums([Sums(1, 5, {3: 1}), Sums(2, 7, {3: 1, 9: 1})]) == Sums(3, 12, {3: 2, 9: 1})
