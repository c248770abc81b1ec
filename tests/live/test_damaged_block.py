"""A block whose header is whole and whose rest can't be, and one that is too large: refused, clearly, untouched."""

import hashlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from hvd.core import layout as at
from hvd.core.block import Block, open_block
from tests.support.server import Server
from tests.support.waiting import until


def cells_used(block: Block) -> None:
    block.cells[at.H_CELLS_USED] = 1 << 40


def rows_of_a_slot(block: Block) -> None:
    block.cells[block.layout.slot_cell(9) + at.S_ROWS] = 1 << 40


def post_mortems(block: Block) -> None:
    block.cells[at.H_POST_MORTEMS] = 1 << 62


def catalogue(block: Block) -> None:
    block.raw[block.layout.catalogue + 12] ^= 1


@pytest.mark.parametrize("damage", [cells_used, rows_of_a_slot, post_mortems, catalogue])
def test_a_damaged_block_is_refused_and_left_as_it_is(tmp_path: Path, damage: Callable[[Block], None]) -> None:
    """Exit status 1, one line, before anything is stored or said of taking over."""
    with Server(tmp_path, workers=1, max_series=16, slots=8) as server:
        server.get("/hello")
        server.signal(signal.SIGKILL)
        assert server.process
        server.process.wait(10)
        until(lambda: not server.processes(), "its workers are gone, and write no more")
        block = open_block(server.block.name)
        damage(block)
        os.close(block.fd)
        before = hashlib.sha256(server.block.read_bytes()).digest()
        again = Server(tmp_path, instance=server.instance, workers=1)
        again.start(ready=False)
        assert again.process
        assert again.process.wait(20) == 1
        assert "Traceback" not in again.log
        assert "totals go on" not in again.log
        assert again.log.splitlines()[-1].startswith("hvd: ")
        assert hashlib.sha256(server.block.read_bytes()).digest() == before


def test_a_block_that_can_not_be_mapped_leaves_nothing(tmp_path: Path) -> None:
    """Each setting may be as large as it is, all of them together may not."""
    server = Server(tmp_path, slots=4096, threads=256, max_series=100000)
    try:
        server.start(ready=False)
        assert server.process
        assert server.process.wait(20) == 1
        assert "can't be mapped" in server.log
        assert "Traceback" not in server.log
        assert not server.block.exists()
    finally:
        server.destroy()
