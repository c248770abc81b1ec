"""Shared by the tests of own metrics: a block with room for them, definitions of each kind, a process's store."""

import os
from collections.abc import Callable

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.durations import TIMED_CELLS
from hvd.core.layout import COMPANION_SLOTS, KIND_WORKER, Layout
from hvd.core.own.definition import Definition
from hvd.core.own.figures import FamilyFigures, OwnReader
from hvd.core.own.store import OwnStore
from hvd.core.slots import Slots
from tests.unit.core.support import ended, fork

SHAPE = Layout(slots=COMPANION_SLOTS + 4, rows=2, series=16, run_cells=TIMED_CELLS, own_series=64)

ORDERS = Definition("orders", "counter", "Orders.", labels=("shop",))
TURNS = Definition("turns", "counter", "Turns.")
SIZES = Definition("sizes", "histogram", "Sizes.", unit="bytes", buckets=(1.0, 10.0))
PARTS = Definition("parts", "summary", "Parts.")


def gauge(mode: str, name: str = "level", *labels: str) -> Definition:
    """A gauge of that mode."""
    return Definition(name, "gauge", "Level.", labels=labels, mode=mode)


def store_in(block: Block, kind: int = KIND_WORKER) -> OwnStore:
    """A store that counts in a slot of its own, which this process has."""
    store = OwnStore()
    store.attach(block, Slots(block).claim(kind, os.getpid(), os.getpid()))
    return store


def in_child(work: Callable[[], object]) -> None:
    """Do the work in a child, and wait for its end."""
    assert ended(fork(work)) == 0


def family(block: Block, name: str, reader: OwnReader | None = None) -> FamilyFigures:
    """The figures of the family that is shown under this name."""
    found = [one for one in (reader or OwnReader(block)).read().families if one.definition.name == name]
    assert len(found) == 1
    return found[0]


def values(block: Block, name: str, reader: OwnReader | None = None) -> dict[tuple[str, ...], object]:
    """The values of its series, by label values."""
    return {sample.labels: sample.value for sample in family(block, name, reader).samples}


def damage_last_record(block: Block) -> None:
    """Change a byte of the last record of own metrics."""
    end = block.layout.own_catalogue + block.cells[layout.H_OWN_BYTES]
    block.raw[end - 2 * layout.CELL] ^= 1
