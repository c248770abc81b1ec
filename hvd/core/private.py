"""The block of one process alone, in a memory file (memfd_create(2)): for a process that has no slot of another one."""

import os
import weakref

from hvd.core import layout
from hvd.core.acquire import header_of
from hvd.core.block import Block
from hvd.core.catalogue import Catalogue, Families
from hvd.core.durations import TIMED_CELLS
from hvd.core.layout import Layout
from hvd.core.rows import Rows

SHAPE = Layout(1, 32, 500, TIMED_CELLS, 256)
"""A slot of 31 threads' rows and the shared one. It is sparse: memory is taken by what is used."""


def private_rows(families: Families) -> Rows:
    """Rows in a new private block, whose memory goes with the last of them. Raises OSError, BlockError."""
    fd = os.memfd_create("hvd-private", os.MFD_CLOEXEC)
    try:
        os.ftruncate(fd, SHAPE.size)
        os.pwrite(fd, header_of(SHAPE), 0)
        block = Block(fd, SHAPE, "private")
    except BaseException:
        os.close(fd)
        raise
    weakref.finalize(block, os.close, fd).atexit = False  # threads may count until the very end
    Catalogue(block, families.all).add_families()
    block.cells[SHAPE.slot_cell(0) + layout.S_TAKEN] = 1
    return Rows(block, 0, families)
