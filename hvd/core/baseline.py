"""The sums of all rows at the end of the newest span: what has been counted since is the running one's.

There are two copies. The one of record n of the ring of spans is copy n modulo 2, so that it stays whole while the next
record and its copy are written. In the header, each has BASELINE_CELLS cells: n, Unix time and monotonic time (ns),
errors, and how many cells the copy has. A block without any record begins with copy 0, which may be empty.
"""

from typing import NamedTuple

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.hot import fence

RETRIES = 5
_WRITING = -1


class Baseline(NamedTuple):
    """The sums at that time; `cells` are those of `Totals.cells`, as many as were in use."""

    time_ns: int
    monotonic_ns: int
    errors: int
    cells: memoryview


def read_baseline(block: Block, sequence: int) -> Baseline | None:
    """The copy of that record; None where it could not be written, or was overwritten."""
    head = _head(sequence)
    start = _start(block, sequence) * layout.CELL
    for _ in range(RETRIES):
        number, time_ns, monotonic_ns, errors, used = before = block.cells[head : head + layout.BASELINE_CELLS].tolist()
        if number != sequence:
            continue
        fence()
        data = bytes(block.raw[start : start + used * layout.CELL])
        fence()
        if block.cells[head : head + layout.BASELINE_CELLS].tolist() == before:
            return Baseline(time_ns, monotonic_ns, errors, memoryview(data).cast("q"))
    return None


def write_baseline(block: Block, sequence: int, baseline: Baseline) -> None:
    """Store it, under the mutation lock, which the caller holds. Raises BlockFull: then that record has none."""
    head, first, used = _head(sequence), _start(block, sequence), len(baseline.cells)
    block.cells[head] = _WRITING
    block.reserve(first, used)
    fence()
    block.cells[first : first + used] = baseline.cells
    figures = baseline.time_ns, baseline.monotonic_ns, baseline.errors, used
    for number, figure in enumerate(figures, head + 1):
        block.cells[number] = figure
    fence()
    block.cells[head] = sequence


def _head(sequence: int) -> int:
    return layout.H_BASELINES + sequence % 2 * layout.BASELINE_CELLS


def _start(block: Block, sequence: int) -> int:
    return block.layout.baselines // layout.CELL + sequence % 2 * block.layout.row_cells
