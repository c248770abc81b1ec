"""Spans from tick to tick: what they tell is what was counted, whoever takes over."""

import itertools
import random
from collections import Counter
from dataclasses import replace

import pytest

from hvd.agg.spans import Lately, Spans
from hvd.core.block import Block
from hvd.core.journal import spans_of
from hvd.core.totals import Reader, Totals
from hvd.errors import BlockFull
from hvd.metrics.companion_pages import Span
from hvd.metrics.table import FAMILIES, HTTP, error_of
from hvd.read.recorded import read_spans
from hvd.read.requests import sum_requests
from tests.unit.core.support import keeping_locked, own_rows
from tests.unit.figures import make_sample
from tests.unit.spans import MS, SECOND


class Daemon:
    """A block in which the test counts, and time as the test has it: `pass_time` makes ticks of aggregators."""

    def __init__(self, block: Block) -> None:
        self.block, self.rows, self._reader = block, own_rows(block), Reader(block, FAMILIES.all)
        self._began = self._reader.read()
        self.seconds = 0.0
        self.counted: list[tuple[float, str, str]] = []

    def answer(self, route: str, status: str = "200", number: int = 1) -> None:
        """Count so many responses, now."""
        for _ in range(number):
            self.rows.record(HTTP, ("GET", route, status), 5 * MS)
            self.counted.append((self.seconds, route, status))

    def totals(self) -> Totals:
        after = round(self.seconds * SECOND)
        began = self._began
        errors = sum(error_of(status) > 0 for _, _, status in self.counted)
        totals = self._reader.read()
        return replace(
            totals,
            time_ns=began.time_ns + after,
            monotonic_ns=began.started_monotonic_ns + after,
            heads=totals.heads._replace(errors=errors),
        )

    def tick(self, spans: Spans, *, writes: bool = True) -> tuple[Span | None, Span | None]:
        totals = self.totals()
        processes = [make_sample("worker", slot.slot.pid) for slot in totals.slots]
        return spans.tick(totals, sum_requests(totals), processes, (0.5, 2.0), is_writer=writes)

    def lately(self, spans: Spans) -> Lately:
        totals = self.totals()
        lately = spans.lately(totals, sum_requests(totals), [])
        assert lately
        return lately

    def between(self, start: float, end: float) -> Counter[tuple[str, str]]:
        """What was counted after `start` until `end`."""
        return Counter((route, status) for at, route, status in self.counted if start < at <= end)


@pytest.fixture
def daemon(block: Block) -> Daemon:
    return Daemon(block)


def by_route(record: object) -> Counter[tuple[str, str]]:
    return Counter({labels[1:]: sums.responses for labels, sums in record.series.items()})  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", range(6))
def test_the_last_minute_is_what_was_counted_in_it(daemon: Daemon, seed: int) -> None:
    """With ticks that come late, an aggregator that is killed, and one that takes over: at every tick, exactly."""
    order = random.Random(seed)
    writer = Spans(daemon.block, 2.0)
    for number in range(150):
        daemon.seconds += order.choice((1.9, 2.0, 2.0, 2.1, 5.0))
        for _ in range(order.randrange(20)):
            daemon.answer(order.choice(("/a", "/b", "/c")), order.choice(("200", "200", "404", "503")))
        if number in (30, 31, 90):
            writer = Spans(daemon.block, 2.0)  # the one before was killed
        last, before = daemon.tick(writer)
        assert last
        start = daemon.seconds - last["seconds"]
        expected = daemon.between(start + 0.0005, daemon.seconds)
        assert last["requests"] == expected.total()
        assert last["server_errors"] == sum(n for (_, status), n in expected.items() if status == "503")
        assert last["client_errors"] == sum(n for (_, status), n in expected.items() if status == "404")
        lately = daemon.lately(writer)
        assert by_route(lately.last) == expected
        assert min(daemon.seconds, 50) - 1e-3 <= last["seconds"] <= 70
        if before:
            assert lately.before
            past = daemon.between(start - before["seconds"] + 0.0005, start + 0.0005)
            assert before["requests"] == past.total()
            assert by_route(lately.before) == past
    assert sum(record.total.responses for _, record in read_spans(daemon.block)) <= len(daemon.counted)


def test_of_two_aggregators_one_writes_and_the_other_follows(daemon: Daemon) -> None:
    """During an upgrade both tell the same; each response is in one record."""
    older = Spans(daemon.block, 2.0)
    newer: Spans | None = None
    for number in range(40):
        daemon.seconds += 2.0
        daemon.answer("/a", number=number)
        if number == 17:
            newer = Spans(daemon.block, 2.0)
        told = daemon.tick(older, writes=number < 18)
        if newer:
            assert daemon.tick(newer, writes=number >= 18)[0] == pytest.approx(told[0]) or number in (17,)
    records = [record for _, record in read_spans(daemon.block)]
    assert [round(record.seconds) for record in records] == [10] * 8
    assert sum(record.total.responses for record in records) == sum(range(40))
    assert all(one.to_ns == two.from_ns for one, two in itertools.pairwise(records))


def test_ticks_that_are_a_minute_apart_lose_nothing_to_a_killed_aggregator(daemon: Daemon) -> None:
    """The one that takes over comes later than that after the newest record."""
    spans = Spans(daemon.block, 60.0)
    for daemon.seconds in (0.0, 60.0):
        daemon.tick(spans)
    daemon.answer("/a", number=3)
    daemon.seconds = 121.0
    last, _ = daemon.tick(Spans(daemon.block, 60.0))
    assert last
    assert (last["seconds"], last["requests"]) == (61, 3)


def test_nothing_is_compared_before_there_is_something(daemon: Daemon) -> None:
    """No time, no minute; the first minute has none before it."""
    spans = Spans(daemon.block, 2.0)
    assert daemon.tick(spans) == (None, None)
    daemon.seconds = 2.0
    last, before = daemon.tick(spans)
    assert last
    assert (last["seconds"], last["requests"], last["p99_ms"], last["busy_ratio"], before) == (2, 0, None, 0.5, None)


def test_an_hour_without_a_tick_is_no_minute(daemon: Daemon) -> None:
    """The aggregator stood still, and goes on: neither minute is known at first, then each is one."""
    spans = Spans(daemon.block, 2.0)
    known = []
    for number in range(130):
        daemon.seconds += 3600.0 if number == 60 else 2.0
        daemon.answer("/a", number=500 if number == 60 else 1)
        last, before = daemon.tick(spans)
        assert (last is None) == (number == 60)
        assert daemon.lately(spans).last.seconds <= 70
        assert last is None or (last["seconds"] <= 70 and last["requests"] <= 35)
        assert before is None or (before["seconds"] <= 70 and before["requests"] <= 35)
        known.append((last is not None, before is not None))
    assert known[59] == known[-1] == (True, True)
    assert known[60] == (False, False)
    assert sum(record.total.responses for _, record in read_spans(daemon.block)) > 600, "the hour is in the records"


def test_what_was_long_ago_is_not_taken_up(daemon: Daemon) -> None:
    """A daemon that was killed an hour ago, whose block goes on: the hour in between is no span."""
    daemon.tick(Spans(daemon.block, 2.0))
    daemon.seconds = 3600.0
    daemon.answer("/a", number=3)
    spans = Spans(daemon.block, 2.0)
    assert daemon.tick(spans) == (None, None)
    daemon.seconds += 2
    daemon.answer("/a")
    last, _ = daemon.tick(spans)
    assert last
    assert (last["seconds"], last["requests"]) == (2, 1)


def test_a_span_that_can_not_be_written_goes_on(daemon: Daemon) -> None:
    """While the block is locked: the next tick's record has all of it."""
    spans = Spans(daemon.block, 2.0)
    daemon.tick(spans)
    daemon.seconds = 10.0
    daemon.answer("/a", number=3)
    with keeping_locked(daemon.block):
        last, _ = daemon.tick(spans)
    assert last
    assert (last["seconds"], last["requests"], read_spans(daemon.block)) == (10, 3, [])
    daemon.seconds = 12.0
    daemon.answer("/a", number=4)
    daemon.tick(spans)
    ((_, record),) = read_spans(daemon.block)
    assert (record.seconds, record.total.responses) == (12, 7)


def test_without_memory_the_next_aggregator_begins_anew(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are written all the same: only what a killed aggregator had not recorded is lost then."""

    def full(*_: object) -> None:
        raise BlockFull("full")

    spans = Spans(daemon.block, 2.0)
    daemon.tick(spans)
    monkeypatch.setattr("hvd.agg.spans.write_baseline", full)
    for seconds in (10, 20):
        daemon.seconds = float(seconds)
        daemon.answer("/a", number=seconds)
        daemon.tick(spans)
    assert [record.total.responses for _, record in read_spans(daemon.block)] == [10, 20]
    daemon.seconds = 24.0
    daemon.answer("/a", number=5)
    assert daemon.tick(spans)[0]["requests"] == 35  # type: ignore[index]
    heir = Spans(daemon.block, 2.0)
    assert daemon.tick(heir)[0]["requests"] == 30  # type: ignore[index]


def test_another_interval_is_another_rhythm(daemon: Daemon) -> None:
    """A tick a minute makes a record each."""
    spans = Spans(daemon.block, 2.0)
    daemon.tick(spans)
    spans.set_interval(60.0)
    for minute in (1, 2, 3):
        daemon.seconds = 60.0 * minute
        daemon.answer("/a", number=minute)
        last, before = daemon.tick(spans)
        assert last
        assert (last["seconds"], last["requests"]) == (60, minute)
    assert before
    assert (before["seconds"], before["requests"]) == (60, 2)
    assert spans_of(daemon.block).newest == 3


def test_workers_of_the_last_minute(daemon: Daemon) -> None:
    """Since they took their slot, or since the minute began."""
    spans = Spans(daemon.block, 2.0)
    for _ in range(50):
        daemon.seconds += 2.0
        daemon.tick(spans)
    lately = daemon.lately(spans)
    (span,) = lately.workers().values()
    assert (span["requests"], span["memory_bytes"]) == (0, None)
    (figures,) = lately.figures()
    assert figures.seconds == pytest.approx(lately.last.seconds)
    assert figures.age == pytest.approx(100, abs=5)
