"""What a block has counted goes over to another block, each count once."""

import copy
import math
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hvd.core import layout
from hvd.core.acquire import acquire
from hvd.core.block import Block
from hvd.core.durations import TIMED_CELLS
from hvd.core.history import Point
from hvd.core.layout import COMPANION_SLOTS, Layout
from hvd.core.slots import Slots, settle
from hvd.core.totals import Heads, Reader
from hvd.daemon.kept.figures import Taken, collect, restore
from hvd.daemon.kept.form import Kept, decode, encode
from hvd.errors import TotalsUnusable
from hvd.metrics.bounds import COARSE
from hvd.metrics.columns import VALUES
from hvd.metrics.events import read_events, write_event
from hvd.metrics.table import ABORTED, CONNECTIONS, HTTP, SIZES, VIEWS, WS_FRAMES
from hvd.read.history import build_history, history_of
from hvd.read.recorded import read_until_now
from tests.unit.core.support import catalogue_of, counts, own_rows, serve

COUNTS = len(COARSE) + 1


@pytest.fixture
def kept(block: Block) -> Kept:
    """Of a block that has counted of each kind, in several rows; a request and a connection are open."""
    catalogue_of(block).add_families()
    for rows in (own_rows(block), own_rows(block)):
        row = rows.mine()
        for number in range(15):
            serve(row, f"/{number}", "404" if number % 5 == 0 else "200")
        rows.count(CONNECTIONS, ("websocket", "/ws"))
        rows.count(VIEWS, ("/1", "app.views.one"))
        rows.count(WS_FRAMES, by=3)
        row.add(layout.LOST, 4)
        row.add(rows.runs[SIZES.key]["GET", "/1"] + SIZES.cells - 1, 2)
    row.begin("GET", "/open")
    row.abandon("exception")
    row.begin("GET", "/open")
    now = time.time_ns()
    for number in range(3):
        history_of(block).add(Point(now - 10**9 * (3 - number), (float(number),) * len(VALUES), (number,) * COUNTS))
    write_event(block, "start", "hvd has started", version="0.2")
    write_event(block, "death", "worker 7 died (SIGKILL) while idle", pid=7, memory_bytes=None)
    return decode(encode(collect(block, "shop")))


@pytest.fixture
def other(name: str) -> Iterator[Callable[..., Block]]:
    """Makes a block for what is kept, with other numbers of slots, rows and series."""
    made = []

    def make(kept: Kept, series: int = 50, left_out: tuple[str, ...] = (), overflowed: int = 0) -> Block:
        shape = Layout(COMPANION_SLOTS + 9, 7, series, TIMED_CELLS, 16)
        found: list[Taken] = []
        block, _ = acquire(f"{name}.aside-{len(made)}", shape, fill=lambda block: found.append(restore(block, kept)))
        made.append(block)
        assert [(*taken.left_out,) for taken in found] == [left_out]
        assert found[0].overflowed == overflowed
        return block

    yield make
    for block in made:
        block.release_claim()
        os.close(block.fd)


def test_a_new_block_goes_on_with_what_another_one_counted(
    block: Block, kept: Kept, other: Callable[..., Block]
) -> None:
    """All series, heads, the lost, and the history; what was open has ended; times are those of the first block."""
    before, history = Reader(block).read(), history_of(block).read()
    after_block = other(kept)
    after = Reader(after_block).read()
    assert before.heads == Heads(32, 30, 1, 6, 1)
    assert after.heads == Heads(32, 30, 2, 6, 0)
    assert counts(after_block, ABORTED.key) == {("exception",): 1, ("unknown",): 1}
    assert counts(after_block, VIEWS.key) == {}
    assert [after.run(one).tolist() for one in after.of(CONNECTIONS.key)][-1] == [2, 2]
    for key in {one.family for one in before.series} - {ABORTED.key, VIEWS.key, CONNECTIONS.key}:
        runs = [
            {one.labels: totals.run(one).tolist() for one in totals.of(key) if any(totals.run(one))}
            for totals in (before, after)
        ]
        assert runs[0] == runs[1], key
    assert after.lost == before.lost == 8
    assert after.counted_for - after.uptime == pytest.approx(kept["counted_ns"] / 1e9)
    assert after_block.cells[layout.H_SINCE_WALL] == block.cells[layout.H_SINCE_WALL] > 0
    assert history_of(after_block).read() == history
    assert read_events(after_block) == read_events(block) == kept["events"]


def test_the_block_counts_on(kept: Kept, other: Callable[..., Block]) -> None:
    """The slot that has the counts is taken, settled and read as any other; its process is not told to have them."""
    block = other(kept)
    rows = own_rows(block, layout.KIND_AGGREGATOR)
    assert rows.slot == 0
    serve(rows.mine(), "/1")
    rows.mine().begin("GET", "/2")
    totals = Reader(block).read()
    assert totals.heads == Heads(34, 31, 2, 6, 1)
    assert totals.slots[0].heads == Heads(2, 1, 0, 0, 1)
    assert settle(block, 0).aborted == 1
    Slots(block).free(0)
    again = other(decode(encode(collect(block, "shop"))))
    assert Reader(again).read().heads == Heads(34, 31, 3, 6, 0)
    assert sum(counts(again, ABORTED.key).values()) == 3
    history_of(again).add(Point(time.time_ns(), (9.0,) * len(VALUES), (9,) * COUNTS))
    assert [point.values[0] for point in history_of(again).read()] == [0.0, 1.0, 2.0, 9.0]


def test_the_last_minute_begins_anew(kept: Kept, other: Callable[..., Block]) -> None:
    """What was counted before the stop is in the totals, and in no span."""
    block = other(kept)
    (running,), totals = read_until_now(block, Reader(block).read)
    assert totals.heads.errors == 6
    assert (running.total.responses, running.client_errors, running.server_errors, running.series) == (0, 0, 0, {})
    serve(own_rows(block, layout.KIND_AGGREGATOR).mine(), "/1")
    (running,), _ = read_until_now(block, Reader(block).read)
    assert running.total.responses == 1


def test_series_without_room_go_on_in_the_overflow_series(kept: Kept, other: Callable[..., Block]) -> None:
    """None of their counts is lost, nor of those that overflowed before."""
    block = other(kept, 6, overflowed=9)
    assert len(counts(block)) == 6 + 2
    shared = {labels[2]: number for labels, number in counts(block).items() if labels[1] == "overflow"}
    assert (set(shared), sum(shared.values())) == ({"overflow", "4xx"}, 9 * 2)
    rows = own_rows(block, layout.KIND_WORKER)
    serve(rows.mine(), "/new", "503")
    back = other(decode(encode(collect(block, "shop"))))
    assert sum(counts(back).values()) == 31
    assert counts(back)["overflow", "overflow", "5xx"] == 1
    assert counts(back)["overflow", "overflow", "overflow"] == shared["overflow"]


def test_another_version_takes_what_it_knows(kept: Kept, other: Callable[..., Block]) -> None:
    """A family that it lacks, or has with other labels, is told; other buckets are converted, counts and sums stay."""
    kept["families"]["novel"] = kept["families"].pop(WS_FRAMES.key)
    kept["families"][SIZES.key]["labels"] = ["method"]
    kept["families"]["unused"] = {"labels": [], "cells": 1, "buckets": [], "series": []}
    http = kept["families"][HTTP.key]
    http["cells"], http["buckets"], kept["bounds"]["coarse"] = 4, [(2, "coarse")], [10**6]
    for index, (labels, _) in enumerate(http["series"]):
        http["series"][index] = labels, [0, 2, 1, 500, 2, 1, 3, 1]
    kept["history"]["columns"] = ["unknown"] * len(VALUES)
    kept["since_ns"] = kept["written_ns"] = 2**62  # of a clock that was wrong
    totals = Reader(other(kept, left_out=(SIZES.key, "novel", "the history"))).read()
    assert totals.since_ns == totals.started_wall_ns
    for one in totals.of(HTTP.key):
        run = totals.run(one).tolist()
        assert one.is_overflow or (run[:2], sum(run[2:]), run[-1]) == ([2, 500], 2, 1)


def test_points_of_an_earlier_version_are_kept(kept: Kept, other: Callable[..., Block]) -> None:
    """With what they have. It did not tell 5xx from 4xx: where nothing failed, neither did; else nobody knows."""
    history = kept["history"]
    places = [n for n, name in enumerate(history["columns"]) if not name.endswith("_error_rate")]
    history["columns"] = [history["columns"][n] for n in places]
    history["points"] = [(at, [values[n] for n in places], counts) for at, values, counts in history["points"]]
    points = history_of(other(kept)).read()
    columns = [column.name for column in VALUES]
    assert [point.values[columns.index("error_rate")] for point in points] == [0.0, 1.0, 2.0]
    for name in ("server_error_rate", "client_error_rate"):
        first, *rest = (point.values[columns.index(name)] for point in points)
        assert (first, *map(math.isnan, rest)) == (0.0, True, True)
    shown = build_history(points, 2.0)["points"]
    assert [row[-1] for row in shown] == [0, None, None]


def mangled(change: Callable[[Any], object]) -> Callable[[Kept], Any]:
    def mangle(kept: Kept) -> Any:
        change(changed := copy.deepcopy(kept))
        return changed

    return mangle


MANGLED = [
    mangled(lambda kept: kept.pop("heads")),
    mangled(lambda kept: kept.update(heads=[1, 2, 3, -4])),
    mangled(lambda kept: kept.update(heads=[1, 2, 3])),
    mangled(lambda kept: kept.update(families=[])),
    mangled(lambda kept: kept["families"]["http"]["series"].append([["GET"], [0, 1]])),
    mangled(lambda kept: kept["families"]["http"]["series"].append([["GET", "/", "200"], [0]])),
    mangled(lambda kept: kept["families"]["http"]["series"].append([["GET", "/", "200"], [10**6, 1]])),
    mangled(lambda kept: kept["families"]["http"]["series"].append([["GET", "/1", "200"], [0, 2**63 - 1]])),
    mangled(lambda kept: kept["families"]["http"]["series"].append([["GET", "/1", "200"], [0, 1.5]])),
    mangled(lambda kept: kept["families"]["http"].update(cells="many")),
    mangled(lambda kept: kept.update(bounds={})),
    mangled(lambda kept: kept["history"]["points"].append([1, [], []])),
    mangled(lambda kept: kept["history"]["points"].append([1, [1.0] * len(VALUES), [2**70] * COUNTS])),
    mangled(lambda kept: kept.update(since_ns="yesterday")),
    mangled(lambda kept: kept["events"].append({"kind": "stop"})),
    lambda kept: None,
]


@pytest.mark.parametrize("mangle", MANGLED)
def test_of_what_can_not_be_nothing_is_counted(
    mangle: Callable[[Kept], Any], kept: Kept, name: str, other: Callable[..., Block]
) -> None:
    """One clear error, and the block counts from 0."""
    block, _ = acquire(f"{name}.aside-x", Layout(COMPANION_SLOTS + 2, 7, 50, TIMED_CELLS, 16))
    with pytest.raises(TotalsUnusable, match="is not valid"):
        restore(block, mangle(kept))
    totals = Reader(block).read()
    assert totals.heads == Heads()
    assert not any(totals.cells)
    assert history_of(block).read() == read_events(block) == []
    block.release_claim()
    os.close(block.fd)


def test_of_a_block_of_an_earlier_version_it_is_known_since_when_it_counts(block: Block) -> None:
    """By how long it has."""
    block.cells[layout.H_SINCE_WALL] = 0
    kept = collect(block, "shop")
    assert kept["since_ns"] == kept["written_ns"] - kept["counted_ns"]


def test_slots_can_be_left_out(block: Block, kept: Kept) -> None:
    """As those of joined processes that move their counts themselves."""
    without = collect(block, "shop", [COMPANION_SLOTS])
    assert (without["heads"], kept["heads"]) == ([17, 15, 1, 3], [32, 30, 1, 6])
    assert sum(collect(block, "shop", range(block.layout.slots))["heads"]) == 0
