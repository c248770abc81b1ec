"""The catalogue: one list for all processes, whole at every moment, bounded."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from unittest.mock import patch

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.catalogue import LABEL_CHARS, OVERFLOW, Catalogue, Families, Family, Series, _encode, _form
from hvd.core.totals import Reader
from hvd.errors import BlockForeign, BlockFull
from hvd.metrics.table import ABORTED, EXITS, FAMILIES, HTTP, TICK, WS_FRAMES
from tests.unit.core.support import SMALL, Watched, at_store, catalogue_of, ended, fork, kill, own_rows, respond


def fresh(block: Block) -> list[Series]:
    """What a process that has read nothing yet finds."""
    catalogue = Catalogue(block, None)
    catalogue.refresh()
    return catalogue.series


def assert_sound(block: Block) -> None:
    """No label values twice, no cells shared, all cells within the part of a row that is in use."""
    series = fresh(block)
    assert len({(one.family, one.labels) for one in series}) == len(series)
    end = SMALL.first_run
    for one in sorted(series, key=lambda one: one.offset):
        assert one.offset >= end
        end = one.offset + one.cells
    assert end <= block.cells[layout.H_CELLS_USED] <= SMALL.row_cells
    assert block.cells[layout.H_CATALOGUE_BYTES] <= SMALL.catalogue_bytes


def routes(count: int, prefix: str = "/") -> Iterator[tuple[str, str, str]]:
    return (("GET", f"{prefix}{number}", "200") for number in range(count))


def test_a_series_keeps_its_cells(block: Block) -> None:
    """Asked for again, by this process or another, it is the same."""
    one, other = catalogue_of(block), catalogue_of(block)
    first = one.get_or_add(HTTP, ("GET", "/", "200"))
    second = one.get_or_add(WS_FRAMES, ())
    assert other.get_or_add(WS_FRAMES, ()) == second
    assert other.get_or_add(HTTP, ("GET", "/", "200")) == one.get_or_add(HTTP, ("GET", "/", "200")) == first
    start = SMALL.first_run
    assert (first.offset, first.cells, second.offset) == (start, HTTP.cells, start + HTTP.cells)
    assert [(series.family, series.is_overflow) for series in one.series] == [("http", False), ("ws_frames", False)]
    assert_sound(block)


def test_the_same_labels_of_two_families_are_two_series(block: Block) -> None:
    """The family is part of what tells series apart."""
    catalogue = catalogue_of(block)
    first, second = (catalogue.get_or_add(family, ("a", "b")[: len(family.labels)]) for family in (ABORTED, EXITS))
    assert first.offset != second.offset
    assert_sound(block)


@pytest.mark.parametrize("label", ["ü", "\0", '"\\\n', "\ud800", "x" * LABEL_CHARS], ids=ascii)
def test_any_text_can_be_a_label(block: Block, label: str) -> None:
    """And is read back as it was."""
    catalogue_of(block).get_or_add(ABORTED, (label,))
    assert [one.labels for one in fresh(block)] == [(label,)]


@pytest.mark.parametrize("label", [None, 404, b"404", ("a",)], ids=repr)
def test_what_is_no_text_is_no_error(block: Block, label: object) -> None:
    """Whoever counts must not fail for it: it is kept as Python writes it."""
    assert catalogue_of(block).get_or_add(ABORTED, (label,)).labels == (str(label),)  # type: ignore[arg-type]
    assert [one.labels for one in fresh(block)] == [(str(label),)]


def test_long_labels_are_cut(block: Block) -> None:
    """To the same series for all that begin alike."""
    catalogue = catalogue_of(block)
    kept = {catalogue.get_or_add(ABORTED, ("x" * length,)).labels for length in (LABEL_CHARS, LABEL_CHARS + 1, 5000)}
    assert kept == {("x" * LABEL_CHARS,)}


def test_past_its_limit_a_family_has_only_its_overflow_series_more(block: Block) -> None:
    """The same one for all, at the limit and not before; the other families have their own."""
    catalogue = catalogue_of(block)
    catalogue.add_families()
    reserved = len(fresh(block))
    labels = list(routes(SMALL.series + 30))
    counted_as = [catalogue.get_or_add(HTTP, route).labels for route in labels]
    assert counted_as == labels[: SMALL.series] + [(OVERFLOW,) * 3] * 30
    assert catalogue.is_full(HTTP)
    assert len(fresh(block)) == reserved + SMALL.series
    assert catalogue.get_or_add(EXITS, ("worker", "SIGKILL")).labels == ("worker", "SIGKILL")
    assert_sound(block)


def test_each_family_has_cells_from_the_start(block: Block) -> None:
    """Its overflow series, or its only one. Each master sees to it; what is there is left."""
    catalogue_of(block).add_families()
    before = fresh(block)
    catalogue_of(block).add_families()
    assert fresh(block) == before
    assert [(one.family, one.is_overflow) for one in before] == [
        (family.key, bool(family.labels)) for family in FAMILIES.all
    ]


def test_past_the_limit_errors_of_clients_and_of_the_server_stay_apart(block: Block) -> None:
    """Each kind has an overflow series, beyond the limit; a process that comes later counts there too."""
    catalogue = catalogue_of(block)
    catalogue.add_families()
    for number in range(SMALL.series):
        catalogue.get_or_add(HTTP, ("GET", f"/{number}", "200"))
    later = catalogue_of(block)
    for one in (catalogue, later, catalogue):
        for status, shared in (("200", OVERFLOW), ("404", "4xx"), ("503", "5xx"), ("599", "5xx")):
            series = one.get_or_add(HTTP, ("GET", "/new", status))
            assert (series.labels, series.is_overflow) == ((OVERFLOW, OVERFLOW, shared), True)
    assert len([series for series in later.series if series.family == HTTP.key]) == SMALL.series + 3
    assert later.is_full(HTTP)


def test_where_nothing_can_be_appended_errors_share_the_overflow_series(block: Block) -> None:
    """No count is lost, whatever it is."""
    catalogue = catalogue_of(block)
    catalogue.add_families()
    for number in range(SMALL.series):
        catalogue.get_or_add(HTTP, ("GET", f"/{number}", "200"))
    with patch.object(Catalogue, "_append", side_effect=BlockFull("no memory")):
        assert catalogue.get_or_add(HTTP, ("GET", "/new", "503")).labels == (OVERFLOW,) * 3


def test_labels_that_say_overflow_are_no_overflow(block: Block) -> None:
    """A route may have that name; and where all label values have it, they are told from the overflow series."""
    catalogue = catalogue_of(block)
    catalogue.add_families()
    for family, labels, shown in (
        (HTTP, ("GET", OVERFLOW, "200"), ("GET", OVERFLOW, "200")),
        (HTTP, (OVERFLOW,) * 3, (OVERFLOW, OVERFLOW, OVERFLOW + "_")),
        (ABORTED, (OVERFLOW,), (OVERFLOW + "_",)),
    ):
        series = catalogue.get_or_add(family, labels)
        assert (series.labels, series.is_overflow) == (shown, False)
        assert catalogue.get_or_add(family, labels) is series
    assert len({(one.family, one.labels) for one in fresh(block)}) == len(fresh(block))


def fill(block: Block) -> Catalogue:
    """A catalogue without room for another record."""
    filler = Family("filler", ("what", "why"), limit=512)
    catalogue = catalogue_of(block, filler)
    for length, family in ((117, filler), (117, ABORTED), (0, ABORTED)):
        catalogue._retry_at[family.key] = 0.0
        for number in range(family.most(0)):
            catalogue.get_or_add(family, (f"{number}" + "\x01" * length, "\x01" * 120)[: len(family.labels)])
    assert not catalogue.is_full(ABORTED)
    return catalogue


def test_what_has_no_cells_is_lost_and_counted(block: Block) -> None:
    """Of a full block that was taken over: no exception in whoever counts, in any family, old and new."""
    fill(block).add_families()
    rows = own_rows(block, layout.KIND_AGGREGATOR)
    for times in (1, 2):
        rows.count(WS_FRAMES, (), 1000)
        rows.record(TICK, ("read",), 10**6)
        rows.mine().begin("GET", "/")
        respond(rows.mine(), "PUT", "/" + "\x01" * 110, "200")
        rows.mine().finish()
        totals = Reader(block).read()
        assert totals.lost == times * (1000 + 1 + 1)
        assert totals.heads.finished == times
    assert_sound(block)


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "of another form"])
def test_the_families_of_another_version_are_passed_over(block: Block, known: bool) -> None:
    """Whoever knows it not, or with other cells or labels, reads on; and what it counts there itself is lost."""
    theirs = Family("novel", ("what", "why"), cells=5)
    newer = catalogue_of(block, theirs)
    newer.add_families()
    offset = newer.get_or_add(theirs, ("a", "b")).offset
    after = newer.get_or_add(ABORTED, ("after",))
    ours = Family("novel", ("what",))
    older = catalogue_of(block, ours) if known else catalogue_of(block)
    older.add_families()
    assert older.get_or_add(ABORTED, ("after",)) == after
    assert "novel" not in {one.family for one in older.series}
    if known:
        assert older.get_or_add(ours, ("a",)).offset == layout.LOST
    mine = older.get_or_add(EXITS, ("worker", "exit 0"))
    assert newer.get_or_add(EXITS, ("worker", "exit 0")) == mine
    assert newer.get_or_add(theirs, ("a", "b")).offset == offset
    assert Series("novel", ("a", "b"), offset, 5) in fresh(block), "who names no families reads all"
    assert_sound(block)


def test_more_in_a_record_and_records_of_another_kind_are_passed_over(block: Block) -> None:
    """As a later version may write them."""
    catalogue = catalogue_of(block)
    series = catalogue.get_or_add(EXITS, ("worker", "exit 7"))
    for record in ({"unit": "seconds"}, ["exits", ["worker", "exit 8"], series.offset, {"more": 1}]):
        used, data = block.cells[layout.H_CATALOGUE_BYTES], _encode(record)
        block.raw[SMALL.catalogue + used : SMALL.catalogue + used + len(data)] = data
        block.cells[layout.H_CATALOGUE_BYTES] = used + len(data)
    assert [one.labels for one in fresh(block)] == [("worker", "exit 7"), ("worker", "exit 8")]
    form = {**_form(EXITS), "help": "Ends."}
    catalogue._in_block.clear()
    catalogue._take_in(form)
    assert catalogue._in_block == {"exits": EXITS}


def test_all_families_can_be_full_at_once(block: Block) -> None:
    """There is room for what the limits allow, with the longest labels that records are sized for."""
    catalogue = catalogue_of(block)
    catalogue.add_families()
    for family in FAMILIES.all:
        for number in range(family.most(SMALL.series) + 5 if family.labels else 1):
            catalogue.get_or_add(family, tuple(f"{number:_>30}" for _ in family.labels))
        assert catalogue.is_full(family) or not family.labels
    assert_sound(block)


def test_without_room_for_a_record_counts_go_to_the_overflow_series(block: Block) -> None:
    """Labels longer than records are sized for use the room up before the limit is reached."""
    catalogue = catalogue_of(block)
    catalogue.add_families()
    for labels in routes(10**4, "/" + "\x01" * 110):
        if OVERFLOW in catalogue.get_or_add(HTTP, labels).labels:
            break
    for number in range(64):
        catalogue.get_or_add(EXITS, ("\x01" * LABEL_CHARS, f"{number}" + "\x01" * LABEL_CHARS))
        catalogue.get_or_add(ABORTED, (f"{number}" + "\x01" * LABEL_CHARS,))
    assert OVERFLOW in catalogue.get_or_add(EXITS, ("\x02" * LABEL_CHARS, "\x02" * LABEL_CHARS)).labels
    assert_sound(block)


def test_processes_that_append_at_once_agree(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same labels in every process, in different orders: each has one series, known to all alike."""
    monkeypatch.setattr("hvd.core.catalogue.COUNT_WAIT", 60)  # each store takes a thousand times as long as it does
    names = [f"cause {number}" for number in range(40)]

    def append(start: int) -> None:
        block.cells = Watched(block.cells, lambda _: time.sleep(0.001))  # type: ignore[assignment]  # the others' turn
        catalogue = catalogue_of(block)
        offsets = {}
        for number in range(len(names)):
            name = names[(start + number * 7) % len(names)]
            offsets[name] = catalogue.get_or_add(ABORTED, (name,)).offset
        again = catalogue_of(block)
        assert offsets == {name: again.get_or_add(ABORTED, (name,)).offset for name in offsets}

    children = [fork(lambda start=start: append(start)) for start in range(6)]  # type: ignore[misc]
    assert [ended(pid) for pid in children] == [0] * 6
    assert sorted(one.labels[0] for one in fresh(block)) == sorted(names)
    assert_sound(block)


@pytest.mark.parametrize("survived", [0, 1, 2])
def test_a_writer_killed_in_an_append_holds_nobody_up(block: Block, survived: int) -> None:
    """Its lock is gone with it, its record is there or not, and the next one's cells are its own."""
    catalogue_of(block).get_or_add(ABORTED, ("before",))

    def append_partly() -> None:
        catalogue, stored = catalogue_of(block), at_store(survived + 1, kill)
        block.raw = Watched(block.raw, stored)  # type: ignore[assignment]
        block.cells = Watched(block.cells, stored)  # type: ignore[assignment]
        catalogue._read, catalogue._series = block.cells[layout.H_CATALOGUE_BYTES], {}
        catalogue.get_or_add(EXITS, ("worker", "killed in the middle"))

    assert ended(fork(append_partly)) == -signal.SIGKILL
    assert len(fresh(block)) == 1 + (survived == 2)
    after = catalogue_of(block).get_or_add(HTTP, ("GET", "/after", "200"))
    assert fresh(block)[-1] == after
    assert_sound(block)


@pytest.mark.parametrize("byte", [0, 4, 9])
def test_a_damaged_record_is_told(block: Block, byte: int) -> None:
    """A flipped bit in its length, its checksum or its text: the error names the block, nothing is guessed."""
    catalogue_of(block).get_or_add(ABORTED, ("cause",))
    block.raw[SMALL.catalogue + byte] ^= 1
    with pytest.raises(BlockForeign, match=f"{block.name}.*damaged"):
        catalogue_of(block).refresh()
    assert catalogue_of(block).get_or_add(ABORTED, ("cause",)).offset == layout.LOST, "no exception in whoever counts"


def test_records_are_as_they_are_described(block: Block) -> None:
    """Length, checksum, JSON, padded to a whole cell: other programs may read it."""
    catalogue_of(block).get_or_add(EXITS, ("worker", "exit 7"))
    start, end, records = SMALL.catalogue, SMALL.catalogue + block.cells[layout.H_CATALOGUE_BYTES], []
    while start < end:
        length = int.from_bytes(block.raw[start : start + 4], "little")
        records.append(json.loads(bytes(block.raw[start + 8 : start + 8 + length])))
        start += layout.round_up(8 + length, layout.CELL)
    assert start == end
    assert records == [
        {"family": "exits", "cells": 1, "labels": ["kind", "cause"], "merge": "sum"},
        ["exits", ["worker", "exit 7"], SMALL.first_run],
    ]


def test_who_loses_the_race_for_the_last_place_overflows(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether there is room is asked again under the lock: another process may have come between."""
    catalogue_of(block).add_families()
    ours, theirs = catalogue_of(block), catalogue_of(block)
    for number in range(SMALL.series - 1):
        ours.get_or_add(HTTP, ("GET", f"/{number}", "200"))
    locked = block.locked

    def locked_after_them(wait: float) -> AbstractContextManager[None]:
        monkeypatch.undo()
        theirs.get_or_add(HTTP, ("GET", "/theirs", "200"))
        return locked(wait)

    monkeypatch.setattr(block, "locked", locked_after_them)
    assert ours.get_or_add(HTTP, ("GET", "/ours", "200")).is_overflow
    assert len([one for one in ours.series if one.family == HTTP.key]) == SMALL.series + 1


def test_families_have_those_of_a_row_among_them() -> None:
    """In the order in which a master adds them to a catalogue."""
    one, two, three = Family("one", ("a",)), Family("two", ("cause",)), Family("three", ())
    assert Families(one, two, (three,)).all == (one, two, three)


def test_a_family_without_a_limit_has_as_many_series_as_the_block() -> None:
    """Others have what they are said to have."""
    assert Family("one", (), limit=None).most(200) == 200
    assert Family("one", ()).most(200) == 64
