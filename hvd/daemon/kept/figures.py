"""What of a block is kept, and how a new block gets it.

Kept are the sums of all counters: of each series, of what started, finished and was aborted, of what was lost; the
app's own metrics (own.py); the history; what happened. Other gauges, times, pages and post-mortems are of one life of
the daemon; so are the views' names, which another version of the app has otherwise.

A new block gets them before it has a name, so before any process counts in it, in a row that the aggregator goes on
with. So a reader finds all of it, or no block. What was in progress is aborted by then: the file of a daemon
that lost its machine may have such requests.
"""

import contextlib
import math
import struct
import time
from collections import Counter
from collections.abc import Collection
from itertools import chain
from typing import NamedTuple

from hvd import __version__
from hvd.core import layout
from hvd.core.baseline import Baseline, write_baseline
from hvd.core.block import Block
from hvd.core.catalogue import OVERFLOW, Catalogue, Family
from hvd.core.history import Point
from hvd.core.hot import sum_rows
from hvd.core.slots import mark_used, used_heads
from hvd.core.totals import RETRIES
from hvd.daemon.deaths import UNKNOWN_CAUSE
from hvd.daemon.kept.buckets import BOUNDS, Buckets, buckets_of, convert, is_own, rebucket
from hvd.daemon.kept.form import FamilyPart, HistoryPart, Kept, Run
from hvd.daemon.kept.own import Restoring, check_own, collect_own
from hvd.errors import BlockFull, TotalsUnusable
from hvd.metrics.bounds import COARSE
from hvd.metrics.columns import VALUES
from hvd.metrics.events import check_events, fill_events, read_events
from hvd.metrics.table import ABORTED, CONNECTIONS, FAMILIES, VIEWS
from hvd.read.history import history_of

SLOT = ROW = 0
"""Of the first companion, an aggregator."""

_MOST = 2**63
_WRONG = (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError, struct.error)


class Taken(NamedTuple):
    """What a block got: started, finished, aborted, errors, as of when (Unix time in ns). And what could not go where
    it belongs: metrics left out, and how many series go on in their overflow series.
    """

    heads: tuple[int, ...]
    written_ns: int
    left_out: list[str]
    overflowed: int


def collect(block: Block, instance: str, without: Collection[int] = ()) -> Kept:
    """What is kept of a block now; without these slots. Reads only, takes no lock."""
    catalogue, cells, now = Catalogue(block, None), block.cells, time.time_ns()
    counted = time.monotonic_ns() - cells[layout.H_MADE_MONO]
    catalogue.refresh()
    slots = [number for number in range(block.layout.slots) if number not in without]
    heads = list(chain.from_iterable(used_heads(block, number) for number in slots))
    data, read = sum_rows(block.raw, heads, cells[layout.H_CELLS_USED], RETRIES)
    sums = memoryview(data).cast("q")
    families: dict[str, FamilyPart] = {
        family.key: {
            "labels": list(family.labels),
            "cells": family.cells,
            "buckets": buckets_of(family.cells),
            "series": [],
        }
        for family in catalogue.families
        if family.key != VIEWS.key
    }
    for series in catalogue.series:
        run = _sparse(sums[series.offset : series.offset + series.cells].tolist())
        if run and series.family in families:
            families[series.family]["series"].append(
                (None if set(series.labels) == {OVERFLOW} else list(series.labels), run)
            )
    return {
        "instance": instance,
        "hvd": __version__,
        "written_ns": now,
        "since_ns": cells[layout.H_SINCE_WALL] or now - counted,
        "counted_ns": counted,
        "heads": [sum(values) for values in zip(*(head[:4] for head in read), strict=True)] or [0] * 4,
        "lost": _sparse(sums[layout.LOST : block.layout.first_run].tolist()),
        "bounds": dict(BOUNDS),
        "families": families,
        "history": _collect_history(block),
        "own": collect_own(block, without),
        "events": read_events(block),
    }


def _sparse(cells: list[int]) -> Run:
    return list(chain.from_iterable((index, value) for index, value in enumerate(cells) if value))


def _collect_history(block: Block) -> HistoryPart:
    points = [(point.time_ns, point.values, point.counts) for point in history_of(block).read()]
    return {"columns": [column.name for column in VALUES], "bounds": COARSE, "points": points}


def restore(block: Block, kept: Kept) -> Taken:
    """Give a block that has no process and no counts yet what was kept.

    Raises TotalsUnusable and BlockError: then it counts nothing yet.
    """
    try:
        return _Restoring(block, kept).restore()
    except _WRONG as error:
        raise TotalsUnusable(f"its content is not valid ({type(error).__name__}: {error})") from None


class _Restoring:
    def __init__(self, block: Block, kept: Kept) -> None:
        self._block, self._kept = block, kept
        self._catalogue = Catalogue(block, FAMILIES.all)
        self._grown: Counter[int] = Counter()  # by cell, from the row's head
        self._left_out: list[str] = []
        self._overflowed = 0

    def restore(self) -> Taken:
        """All that can fail comes first."""
        self._catalogue.add_families()
        for key, part in self._kept["families"].items():
            self._take_family(key, part)
        for index, value in _pairs(self._kept["lost"]):
            self._grown[layout.LOST + min(index, self._block.layout.run_cells - 1)] += value
        started, finished, aborted, errors = map(_amount, self._kept["heads"])
        aborted = max(aborted, started - finished)
        heads = (finished + aborted, finished, aborted, errors)
        self._grown.update(dict(enumerate(heads, layout.R_STARTED)))
        self._end_what_was_open(aborted)
        own = check_own(self._kept.get("own", []))
        events = check_events(self._kept.get("events", []))
        since, counted, written = (_amount(self._kept[key]) for key in ("since_ns", "counted_ns", "written_ns"))
        restoring = Restoring(self._block, SLOT)
        self._store(self._points(self._kept["history"]), since, counted)
        for metric in own:
            restoring.take(metric)
        fill_events(self._block, events)
        self._left_out += restoring.left_out
        self._overflowed += restoring.overflowed
        return Taken(heads, min(written, time.time_ns()), self._left_out, self._overflowed)

    def _take_family(self, key: str, part: FamilyPart) -> None:
        family = next((family for family in FAMILIES.all if family.key == key), None)
        if family is None or list(family.labels) != part["labels"]:
            self._left_out += [key] if part["series"] else []
            return
        named = [(tuple(map(str, labels)), run) for labels, run in part["series"] if labels is not None]
        if any(len(labels) != len(family.labels) for labels, _ in named):
            raise ValueError(f"labels of {key}")
        series = self._catalogue.fill(family, [labels for labels, _ in named])
        overflow = self._catalogue.instead(family)
        pairs_of = zip(series, named, strict=True)
        self._overflowed += sum(one.is_overflow and one.labels != labels for one, (labels, _) in pairs_of)
        buckets = [(first, name) for first, name in part["buckets"]]
        is_same = is_own(part["cells"], buckets, self._kept["bounds"], family.cells)
        rest = [(overflow, run) for labels, run in part["series"] if labels is None]
        for one, run in [*zip(series, (run for _, run in named), strict=True), *rest]:
            pairs = _pairs(run)
            if not is_same:
                pairs = self._converted(family, pairs, part["cells"], buckets)
            for index, value in pairs:
                if index >= family.cells:
                    raise ValueError(f"a cell of {key}")
                self._grown[one.offset + index] += value

    def _converted(
        self, family: Family, pairs: list[tuple[int, int]], length: int, buckets: Buckets
    ) -> list[tuple[int, int]]:
        """A series' cells as this version has them; none, and the family is left out, where they can't be so."""
        cells = [0] * length
        for index, value in pairs:
            cells[index] = value
        converted = convert(cells, buckets, self._kept["bounds"], family.cells)
        if converted is None and family.key not in self._left_out:
            self._left_out.append(family.key)
        return [(index, value) for index, value in enumerate(converted or ()) if value]

    def _end_what_was_open(self, aborted: int) -> None:
        """Requests in progress are aborted, of an unknown cause; connections that were open are closed."""
        series = self._catalogue.series
        causeless = aborted - sum(self._grown[one.offset] for one in series if one.family == ABORTED.key)
        if causeless > 0:
            (unknown,) = self._catalogue.fill(ABORTED, [(UNKNOWN_CAUSE,)])
            self._grown[unknown.offset] += causeless
        for one in series:
            if one.family == CONNECTIONS.key:
                self._grown[one.offset + 1] = self._grown[one.offset]

    def _points(self, part: HistoryPart) -> list[Point]:
        """As this version has them, with NaN for what they lack; none where it knows none of their columns."""
        columns = part["columns"]
        if not {column.name for column in VALUES} & {*columns}:
            self._left_out.append("the history")
            return []
        return [
            Point(
                _amount(at),
                _values(dict(zip(columns, map(float, values), strict=True))),
                tuple(rebucket(counts, part["bounds"], COARSE)),
            )
            for at, values, counts in part["points"][-layout.HISTORY_POINTS :]
        ]

    def _store(self, points: list[Point], since: int, counted: int) -> None:
        block, cells = self._block, self._block.cells
        if any(value >= _MOST for value in self._grown.values()):
            raise ValueError("a count")
        head = block.layout.row_cell(SLOT, ROW)
        block.reserve(head, cells[layout.H_CELLS_USED])
        history_of(block).fill(points)  # which raises before it writes
        for offset, value in self._grown.items():
            cells[head + offset] = value
        mark_used(block, SLOT, ROW)
        self._begin_spans()
        now = cells[layout.H_STARTED_WALL]  # a clock may have been wrong, or be so now
        cells[layout.H_SINCE_WALL] = min(since, now)
        cells[layout.H_MADE_MONO] = cells[layout.H_STARTED_MONO] - counted

    def _begin_spans(self) -> None:
        """The first span begins with these counts; without memory for them, with the first look at them."""
        cells = self._block.cells
        sums = memoryview(bytearray(cells[layout.H_CELLS_USED] * layout.CELL)).cast("q")
        for offset, value in self._grown.items():
            if offset >= layout.HEAD_CELLS:  # those of a head are no sums, see hotrow.py
                sums[offset] = value
        times = cells[layout.H_STARTED_WALL], cells[layout.H_STARTED_MONO]
        with contextlib.suppress(BlockFull):
            write_baseline(self._block, 0, Baseline(*times, self._grown[layout.R_ERRORS], sums))


def _values(known: dict[str, float]) -> tuple[float, ...]:
    """By the columns of this version. Where nothing failed, nothing failed by the server's or the client's fault: these
    are columns that an earlier version lacks.
    """
    if known.get("error_rate") == 0:
        known = {"server_error_rate": 0.0, "client_error_rate": 0.0} | known
    return tuple(known.get(column.name, math.nan) for column in VALUES)


def _pairs(run: Run) -> list[tuple[int, int]]:
    return [(_amount(index), _amount(value)) for index, value in zip(run[::2], run[1::2], strict=True)]


def _amount(value: object) -> int:
    """Raises ValueError where it is none."""
    if type(value) is not int or not 0 <= value < _MOST:
        raise ValueError(f"{value!r} is no count")
    return value
