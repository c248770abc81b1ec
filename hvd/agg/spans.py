"""Spans: a record of each ten seconds, for all processes; and from tick to tick what the last minute was like.

The newest of the aggregators appends to the block's ring; another one, during an upgrade, follows it there. So does one
that takes over: the sums at the end of the newest record lie in the block too (baseline.py), so nothing is missed.
"""

import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from hvd.core import layout
from hvd.core.baseline import read_baseline, write_baseline
from hvd.core.block import Block
from hvd.core.history import TICK_LOCK_WAIT
from hvd.core.journal import spans_of
from hvd.core.totals import Totals
from hvd.errors import BlockFull, BlockLocked
from hvd.metrics.companion_pages import ProcessSample, Span
from hvd.metrics.spans import SECONDS, SpanRecord, WorkerLook, encode_span
from hvd.read.recorded import Beginning, begin_after, begin_at, figures_since, read_spans, span_since
from hvd.read.requests import RequestSums
from hvd.read.skew import WorkerFigures
from hvd.read.spans import MINUTE, RouteSums, last_and_before, merge_spans, routes_of, span_of
from hvd.read.worker_spans import WorkerSpan, tenure, worker_span

WORKER = layout.KIND_NAMES[layout.KIND_WORKER]

KEPT = 14
"""Records that are kept in memory: two minutes, and one that is half in them at each end."""


@dataclass(frozen=True)
class Lately:
    """The last minute and the one before, with all series; the workers as they were when the last one began, `looks`,
    and at the end of the newest record, `recent`; and the time of now (monotonic).
    """

    last: SpanRecord
    before: SpanRecord | None
    looks: Mapping[tuple[int, int], WorkerLook]
    recent: Mapping[tuple[int, int], WorkerLook]
    now_ns: int

    @cached_property
    def routes(self) -> Mapping[str, RouteSums]:
        """What each route did in the last minute."""
        return routes_of(self.last.series)

    def workers(self) -> dict[tuple[int, int], WorkerSpan]:
        """What each worker did in the last minute, by slot and since when it has it, as far as that is known."""
        known = ((look, self._seconds(look)) for look in self.last.workers)
        return {
            tenure(look): worker_span(look, self.looks.get(tenure(look)), seconds)
            for look, seconds in known
            if seconds > 0
        }

    def figures(self) -> list[WorkerFigures]:
        """The workers, to be compared with each other; without joined processes, which do what they like."""
        spans = self.workers()
        return [
            WorkerFigures(
                look.pid,
                look.slot,
                (self.now_ns - look.taken_ns) / 1e9,
                self._seconds(look),
                span["requests"],
                span["client_errors"],
                span["server_errors"],
                min(look.in_flight, before.in_flight) if (before := self.recent.get(tenure(look))) else 0,
                span["cpu_percent"],
                span["memory_bytes"],
            )
            for look in self.last.workers
            if look.kind == WORKER and (span := spans.get(tenure(look)))
        ]

    def _seconds(self, look: WorkerLook) -> float:
        """For how long of the last minute it was there; 0.0 where nobody knows what it had done before."""
        age = (self.now_ns - look.taken_ns) / 1e9
        if tenure(look) in self.looks:
            return self.last.seconds
        return age if age <= self.last.seconds + SECONDS else 0.0


class Spans:
    """Fed with every tick. One thread uses it."""

    def __init__(self, block: Block, interval: float) -> None:
        self._block, self._journal = block, spans_of(block)
        self._records: deque[SpanRecord] = deque(maxlen=KEPT)
        self._figures: deque[SpanRecord] = deque(maxlen=KEPT)  # the same without their series
        self._sequence = -1  # of the newest record; -1: nothing was read yet
        self._beginning: Beginning | None = None
        self._busy = self._busy_seconds = 0.0
        self._merged: tuple[tuple[int, int, int], SpanRecord | None, SpanRecord | None] | None = None
        self.set_interval(interval)

    def set_interval(self, interval: float) -> None:
        """Ticks come that many seconds apart from now on."""
        self._longest = max(MINUTE, 2 * interval)  # that a record may be old while an aggregator is replaced
        self._enough = SECONDS - min(interval / 2, SECONDS / 4)  # a tick that comes early keeps the rhythm

    def tick(
        self,
        totals: Totals,
        requests: RequestSums,
        processes: Sequence[ProcessSample],
        busy: tuple[float, float],
        *,
        is_writer: bool,
    ) -> tuple[Span | None, Span | None]:
        """Take the figures of a tick; `busy` is the busy ratio, and of how many seconds. -> the last minute and the one
        before, as far as they are known.
        """
        self._busy, self._busy_seconds = self._busy + busy[0] * busy[1], self._busy_seconds + busy[1]
        beginning = self._follow(totals, requests)
        if is_writer and beginning.seconds(totals) >= self._enough:
            beginning = self._record(beginning, totals, requests, processes)
        figures = [*self._figures, figures_since(beginning, totals, requests, self._busy_ratio)]
        return _last_and_before(figures)

    @property
    def _busy_ratio(self) -> float | None:
        return round(self._busy / self._busy_seconds, 4) if self._busy_seconds > 0 else None

    def _follow(self, totals: Totals, requests: RequestSums) -> Beginning:
        """Read what another aggregator has written -> where the running span begins."""
        newest = self._journal.newest
        if newest != self._sequence:
            baseline = read_baseline(self._block, newest)
            known = begin_after(baseline, totals) if baseline else None
            if known and known.seconds(totals) < 0:  # written since these totals were read: with the next ones
                return self._beginning or begin_at(totals, requests)
            if self._sequence < 0 and known and known.seconds(totals) > self._longest:
                known = None  # nothing was recorded for long: the daemon was down
            for _, record in read_spans(self._block, max(self._sequence, newest - KEPT, 0)):
                self._keep(record)
            self._begin(newest, known or begin_at(totals, requests))
        assert self._beginning is not None
        return self._beginning

    def _keep(self, record: SpanRecord) -> None:
        self._records.append(record)
        self._figures.append(replace(record, series={}))

    def _begin(self, sequence: int, beginning: Beginning) -> None:
        self._sequence, self._beginning = sequence, beginning
        self._busy = self._busy_seconds = 0.0

    def _record(
        self, beginning: Beginning, totals: Totals, requests: RequestSums, processes: Sequence[ProcessSample]
    ) -> Beginning:
        """Write the running span -> where the next one begins; the same, where the lock could not be had in time."""
        record = span_since(beginning, totals, requests, processes, self._busy_ratio)
        data, following = encode_span(record, self._journal.room), begin_at(totals, requests)
        with contextlib.suppress(BlockLocked), self._block.locked(TICK_LOCK_WAIT):
            if self._journal.newest == self._sequence:  # else another aggregator was faster
                with contextlib.suppress(BlockFull):  # then the next aggregator begins anew
                    write_baseline(self._block, self._sequence + 1, following.baseline)
                sequence = self._journal.append(data)
                self._keep(record)
                self._begin(sequence, following)
                return following
        return beginning

    def lately(self, totals: Totals, requests: RequestSums, processes: Sequence[ProcessSample]) -> Lately | None:
        """What the last tick returned, up to these totals and with all series; None before the first tick, and
        where nobody ticked for more than two minutes.
        """
        if self._beginning is None:
            return None
        running = span_since(self._beginning, totals, requests, processes, self._busy_ratio)
        last, before = last_and_before([*self._figures, running])
        if not last:
            return None
        closed, closed_before = self._merge(last - 1, before)
        begins = len(self._records) - (last - 1)
        looks = self._records[begins - 1].workers if begins else ()
        recent = self._records[-1].workers if self._records else ()
        return Lately(
            merge_spans([closed, running]) if closed else running,
            closed_before,
            {tenure(look): look for look in looks},
            {tenure(look): look for look in recent},
            totals.monotonic_ns,
        )

    def _merge(self, last: int, before: int) -> tuple[SpanRecord | None, SpanRecord | None]:
        """The newest records, so many, as one; and those before them. Kept, as they change only every ten seconds."""
        key = self._sequence, last, before
        if self._merged is None or self._merged[0] != key:
            records = list(self._records)
            start = len(records) - last
            parts = records[start:], records[start - before : start]
            merged = [merge_spans(part) if part else None for part in parts]
            self._merged = key, merged[0], merged[1]
        return self._merged[1:]


def _last_and_before(figures: Sequence[SpanRecord]) -> tuple[Span | None, Span | None]:
    last, before = last_and_before(figures)
    if not last:
        return None, None
    end = len(figures) - last
    last_span, before_span = merge_spans(figures[end:]), figures[end - before : end]
    return span_of(last_span) if last_span.seconds > 0 else None, span_of(merge_spans(before_span)) if before else None
