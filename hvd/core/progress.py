"""What processes have in progress at this moment, read from their rows without adding anything up: some µs a slot."""

from typing import NamedTuple

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.slots import read_entries, used_heads

_RETRIES = 40  # of a row whose thread begins one thing after the other


class Progress(NamedTuple):
    """A request in progress: when it began (monotonic ns), its text, and its thread (threading.get_ident()).

    `number` is 1, but of the newest where a slot has no entries left: it stands for those too that are only counted.
    """

    number: int
    begin_ns: int
    text: str
    thread: int


def read_progress(block: Block, slot: int) -> list[Progress]:
    """What the process of this slot has in progress. Safe in any process."""
    cells, shared = block.cells, block.layout.row_cell(slot, block.layout.rows - 1)
    heads = used_heads(block, slot)
    own = [head for head in heads if head != shared and cells[head + layout.R_BEGIN_NS]]
    progress = [row for head in own if (row := _read_row(block, head))]
    return progress + (_read_shared(block, slot, cells[shared + layout.R_BUSY]) if shared in heads else [])


def _read_shared(block: Block, slot: int, busy: int) -> list[Progress]:
    entries = read_entries(block, slot, busy)
    progress = [Progress(1, entry.begin_ns, entry.text, entry.thread) for entry in entries]
    if progress and busy > len(progress) >= block.layout.entries:
        progress[-1] = progress[-1]._replace(number=busy - len(progress) + 1)
    return progress


def _read_row(block: Block, head: int) -> Progress | None:
    cells, start = block.cells, (head + layout.R_TEXT) * layout.CELL
    for _ in range(_RETRIES):
        begin = cells[head + layout.R_BEGIN_NS]
        if not begin:
            return None
        text = bytes(block.raw[start : start + layout.TEXT_BYTES])
        if begin == cells[head + layout.R_BEGIN_NS]:
            break
    return Progress(1, begin, text.rstrip(b"\0").decode("utf-8", "replace"), cells[head + layout.R_THREAD])
