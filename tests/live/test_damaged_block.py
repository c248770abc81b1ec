"""A block that can't be used, of another format or damaged, is set aside; one that is too large is refused, clearly."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hvd.core import layout
from hvd.core.block import Block, open_block
from tests.support.server import Server
from tests.support.waiting import until


def catalogue(block: Block) -> None:
    block.raw[block.layout.catalogue + 12] ^= 1


def other_format(block: Block) -> None:
    block.cells[layout.H_FORMAT] = 99


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A daemon that was killed at once, after six requests at least, with its block."""
    with Server(tmp_path_factory.mktemp("killed"), workers=1, max_series=16, slots=8) as server:
        for _ in range(5):
            server.get("/hello")
        server.kill_master()
        until(lambda: not server.processes(), "its workers are gone, and write no more")
        assert not server.spare.exists(), "whoever removes the block has removed it"
        yield server


@pytest.mark.parametrize("damage", [catalogue, other_format])
def test_a_block_that_cannot_be_used_is_kept_aside(
    tmp_path: Path, killed: Server, damage: Callable[[Block], None]
) -> None:
    """The daemon starts with a new one; a warning tells where the old one is, and what it had counted."""
    server = Server(tmp_path, workers=1)
    shutil.copyfile(killed.block, server.block)
    block = open_block(server.block.name)
    damage(block)
    os.close(block.fd)
    before = hashlib.sha256(server.block.read_bytes()).digest()
    try:
        with server:
            (aside,) = server.block.parent.glob(f"{server.block.name}.aside-*")
            assert hashlib.sha256(aside.read_bytes()).digest() == before
            (warning,) = [line for line in server.log.splitlines() if "is kept as" in line]
            assert "[WARNING]" in warning
            found = re.search(
                rf"block {server.block.name}.*; it is kept as {aside}, its last totals: (\d+) requests started, (\d+)",
                warning,
            )
            assert found, warning
            assert 6 <= int(found[1]) <= int(found[2]) + 1
            assert ("/hello", 200) not in server.counted()
            assert "Traceback" not in server.log
    finally:
        for other in server.block.parent.glob(f"{server.block.name}.aside-*"):
            other.unlink()


def test_a_block_that_can_not_be_mapped_leaves_nothing(tmp_path: Path) -> None:
    """Each setting may be as large as it is, all of them together may not."""
    assert "can't be mapped" in Server(tmp_path, slots=4096, threads=256, max_series=100000).refusal()
