"""The own metrics' catalogue: one list for all processes, bounded, whole at every moment."""

import os
import signal
from collections import deque

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.catalogue import OVERFLOW
from hvd.core.own.catalogue import LABEL_CHARS, OwnCatalogue, OwnFamily, _encode, bounded_labels
from hvd.core.own.definition import Definition
from hvd.errors import BlockForeign, BlockFull, BlockLocked
from tests.unit.core.own.support import ORDERS, SHAPE, TURNS, damage_last_record, in_child
from tests.unit.core.support import Watched, at_store, ended, fork, keeping_locked, kill


def assert_sound(block: Block) -> None:
    """No series twice, no cells shared, all cells in the part of a row that is in use."""
    catalogue = OwnCatalogue(block)
    catalogue.refresh()
    owned = [(one.present, one.present + 1) for one in catalogue.families]
    owned += [(one.offset, one.end) for one in catalogue.series]
    end = block.layout.own_marks
    for first, after in sorted(owned):
        assert first >= end
        end = after
    assert end <= block.cells[layout.H_OWN_USED] <= block.cells[layout.H_OWN_RESERVED] <= SHAPE.own_row_cells
    assert len({(one.family.number, one.labels, one.is_overflow) for one in catalogue.series}) == len(catalogue.series)


def test_a_series_keeps_its_cells(block: Block) -> None:
    """Asked for again, by this process or another, it is the same."""
    one, other = OwnCatalogue(block), OwnCatalogue(block)
    family = one.declare(ORDERS)
    series = one.get_or_add(family, ("a",))
    assert series
    again = other.declare(ORDERS)
    found = other.get_or_add(again, ("a",))
    assert found
    assert (found.offset, found.labels, found.created) == (series.offset, ("a",), series.created)
    assert (again.number, again.present, again.definition) == (family.number, family.present, ORDERS)
    assert_sound(block)


def test_definitions_that_disagree_are_two_families(block: Block) -> None:
    """The later one knows its rivals."""
    catalogue = OwnCatalogue(block)
    first = catalogue.declare(ORDERS)
    second = catalogue.declare(Definition("orders", "counter", "Orders.", labels=("shop", "till")))
    assert (catalogue.rivals(first), catalogue.rivals(second)) == ([], [first])
    assert catalogue.declare(Definition("orders", "counter", "In other words.", labels=("shop",))) is first


def test_a_family_has_half_of_the_series(block: Block) -> None:
    """The rest share the overflow series, and others have room still."""
    catalogue = OwnCatalogue(block)
    family, turns = catalogue.declare(ORDERS), catalogue.declare(TURNS)
    series = [catalogue.get_or_add(family, (str(number),)) for number in range(SHAPE.own_series)]
    assert sum(one.is_overflow for one in series if one) == SHAPE.own_series - catalogue.most
    assert series[-1] is catalogue.rest(family)
    assert catalogue.rest(family).labels == (OVERFLOW,)  # type: ignore[union-attr]
    assert catalogue.get_or_add(turns, ()) is not None
    assert_sound(block)


def test_a_full_catalogue_refuses_and_goes_on(block: Block) -> None:
    """What is there is found still; nothing is raised."""
    catalogue = OwnCatalogue(block)
    families, buckets = list[OwnFamily](), tuple(map(float, range(99)))

    def declare(number: int) -> None:
        families.append(catalogue.declare(Definition(f"m{number}", "histogram", "", "", ("a",), buckets)))

    with pytest.raises(BlockFull, match="set own_series higher"):
        deque(map(declare, range(60)), maxlen=0)
    assert catalogue.declare(families[0].definition) is families[0]
    series = [catalogue.get_or_add(families[0], (str(number),)) for number in range(60)]
    assert series[-1] is catalogue.rest(families[0])
    assert "set own_series higher" in catalogue.trouble
    assert_sound(block)


@pytest.mark.parametrize(
    ("label", "kept"),
    [
        ('\n"\\\0', '\n"\\\0'),
        ("\ud800", "\\ud800"),
        ("x" * 10**6, "x" * LABEL_CHARS + "~4a50b3cf"),
        (OVERFLOW, f"{OVERFLOW}_"),
    ],
    ids=["odd", "surrogate", "1 MB", "overflow"],
)
def test_hostile_labels_are_bounded(block: Block, label: str, kept: str) -> None:
    """And each is one series, found again."""
    catalogue = OwnCatalogue(block)
    family = catalogue.declare(ORDERS)
    series = catalogue.get_or_add(family, (label,))
    assert series
    assert series.labels == bounded_labels((label,))
    assert (series.labels[0][:LABEL_CHARS], len(series.labels[0])) == (kept[:LABEL_CHARS], len(kept))
    assert OwnCatalogue(block).find(family, (label,)).labels == series.labels  # type: ignore[union-attr]


@pytest.mark.parametrize("stores", range(1, 5))
def test_a_process_killed_at_any_store_leaves_it_whole(block: Block, stores: int) -> None:
    """The next one appends where it began."""
    family = OwnCatalogue(block).declare(ORDERS)

    def work() -> None:
        watched = at_store(stores, kill)
        block.raw, block.cells = Watched(block.raw, watched), Watched(block.cells, watched)  # type: ignore[assignment]
        OwnCatalogue(block).get_or_add(family, ("a",))

    status = ended(fork(work))
    assert status in (0, -signal.SIGKILL)
    assert (status == 0) == (stores == 4)
    catalogue = OwnCatalogue(block)
    family = catalogue.declare(ORDERS)
    catalogue.get_or_add(family, ("b",))
    catalogue.get_or_add(family, ("a",))
    assert_sound(block)


def test_processes_append_at_the_same_time(block: Block) -> None:
    """Each series once."""

    def work() -> None:
        catalogue = OwnCatalogue(block)
        family = catalogue.declare(ORDERS)
        for number in range(20):
            assert catalogue.get_or_add(family, (str(number),))

    pids = [fork(work) for _ in range(4)]
    assert [ended(pid) for pid in pids] == [0] * 4
    assert_sound(block)


def test_a_lock_that_is_kept_is_told(block: Block) -> None:
    """After half a second; what is there is found still."""
    catalogue = OwnCatalogue(block)
    family = catalogue.declare(ORDERS)
    with keeping_locked(block):
        with pytest.raises(BlockLocked):
            catalogue.get_or_add(family, ("a",))
        with pytest.raises(BlockLocked):
            catalogue.declare(TURNS)
        assert catalogue.declare(ORDERS) is family


def test_a_damaged_record_is_told(block: Block) -> None:
    """The error names the block."""
    in_child(lambda: OwnCatalogue(block).declare(ORDERS))
    damage_last_record(block)
    with pytest.raises(BlockForeign, match=r"record at byte .* of own metrics is damaged"):
        OwnCatalogue(block).refresh()


def test_a_damaged_length_reads_no_more_than_there_is(block: Block) -> None:
    """The rest of the segment has no memory yet: to read it would take some."""
    in_child(lambda: OwnCatalogue(block).declare(ORDERS))
    start, before = block.layout.own_catalogue, os.fstat(block.fd).st_blocks
    block.raw[start : start + 4] = b"\xff" * 4
    with pytest.raises(BlockForeign, match="damaged"):
        OwnCatalogue(block).refresh()
    assert os.fstat(block.fd).st_blocks == before


def test_a_record_without_sense_stays_one(block: Block) -> None:
    """So no later one is taken for another family's."""
    catalogue = OwnCatalogue(block)
    with pytest.raises(BlockForeign, match="makes no sense"):
        catalogue._publish(_encode({"family": 0, "present": 1024}), 2)
    for _ in range(2):
        with pytest.raises(BlockForeign, match="makes no sense"):
            catalogue.refresh()
