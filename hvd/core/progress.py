"""What processes have in progress at this moment, read from their rows without adding anything up: some µs a slot."""

from dataclasses import dataclass

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.slots import used_heads

_RETRIES = 40  # of a row whose thread begins one thing after the other


@dataclass(frozen=True)
class Progress:
    """What a row says: `number` in progress, 1 but in the shared row, which tells of the newest alone; when that began
    (monotonic ns), its text, and its thread (threading.get_ident(); 0 where the row is shared).
    """

    number: int
    begin_ns: int
    text: str
    thread: int


def read_progress(block: Block, slot: int) -> list[Progress]:
    """What the process of this slot has in progress. Safe in any process."""
    cells, shared = block.cells, block.layout.row_cell(slot, block.layout.rows - 1)
    busy = [head for head in used_heads(block, slot) if cells[head + layout.R_BEGIN_NS]]
    return [row for head in busy if (row := _read_row(block, head, shared=head == shared))]


def _read_row(block: Block, head: int, *, shared: bool) -> Progress | None:
    cells, start = block.cells, (head + layout.R_TEXT) * layout.CELL
    for _ in range(_RETRIES):
        begin = cells[head + layout.R_BEGIN_NS]
        if not begin:
            return None
        text = bytes(block.raw[start : start + layout.TEXT_BYTES])
        number = cells[head + layout.R_BUSY] if shared else 1
        if begin == cells[head + layout.R_BEGIN_NS]:
            break
    return Progress(max(1, number), begin, text.rstrip(b"\0").decode("utf-8", "replace"), cells[head + layout.R_THREAD])
