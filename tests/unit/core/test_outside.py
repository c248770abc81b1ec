"""Blocks seen from outside: which have a master that lives, and what is no block of a daemon that runs."""

import os
from pathlib import Path

import pytest

from hvd.core import layout
from hvd.core.block import DIRECTORY, Block
from hvd.core.outside import KeptBlock, has_open, kept_blocks
from hvd.core.slots import Slots
from tests.unit.core.support import dead_pid

ME = os.getpid()


def seen(block: Block) -> KeptBlock | None:
    """The block of the test, if it is among those that are kept."""
    return next((kept for kept in kept_blocks() if kept.name == block.name), None)


def test_a_block_is_kept_by_masters_that_live(block: Block) -> None:
    """Each is named; its file's owner, its start and its workers with it, once, though it has a second name."""
    block.add_master(ME)
    block.file_name.keep_spare()
    block.cells[layout.H_STARTED_MONO] = 42
    block.cells[layout.H_LISTENERS] = 7
    slots = Slots(block)
    for pid in (ME, dead_pid(), ME):
        slots.name_process(slots.claim(layout.KIND_WORKER, ME), pid)
    slots.name_process(slots.claim(layout.KIND_AGGREGATOR, ME), ME)
    kept = [kept for kept in kept_blocks() if kept.name.startswith(block.name)]
    assert kept == list(kept_blocks(name=block.name))
    assert not list(kept_blocks(name=block.name[:-1]))
    assert kept == [KeptBlock(block.name, os.geteuid(), layout.FORMAT, (ME,), 42, (7,), 2)]


def test_what_a_dead_daemon_left_is_not_kept(block: Block) -> None:
    """No master, a dead one, or a number that another process has by now, which doesn't have the file open."""
    assert seen(block) is None
    block.add_master(dead_pid())
    assert seen(block) is None
    block.cells[layout.H_MASTERS] = os.getppid()
    assert seen(block) is None


def test_a_process_without_the_file_is_no_master() -> None:
    """Though it lives."""
    with open("/dev/null", "rb") as file:
        assert has_open(ME, os.fstat(file.fileno()))
    assert not has_open(ME, os.stat(__file__))
    assert not has_open(0, os.stat("/dev/null"))
    assert not has_open(dead_pid(), os.stat("/dev/null"))


def test_a_block_of_another_version_has_no_workers_that_we_can_count(block: Block) -> None:
    """What is the same in every format is told."""
    block.add_master(ME)
    block.cells[layout.H_FORMAT] = 99
    kept = seen(block)
    assert kept
    assert (kept.format, kept.masters, kept.workers, kept.listeners) == (99, (ME,), None, ())


@pytest.mark.parametrize("content", [b"", b"x" * 10_000, layout.MAGIC.to_bytes(8, "little")])
def test_other_files_are_passed_over(name: str, content: bytes) -> None:
    """Empty ones, strangers, and the first bytes of a block."""
    (DIRECTORY / name).write_bytes(content)
    assert name not in [kept.name for kept in kept_blocks()]


def test_pipes_links_and_segments_set_aside_are_passed_over(block: Block, tmp_path: Path) -> None:
    """A FIFO would be waited for, and a link could lead anywhere."""
    block.add_master(ME)
    os.mkfifo(tmp_path / "hvd-fifo")
    (tmp_path / "hvd-link").symlink_to(block.path)
    (tmp_path / "hvd-folder").mkdir()
    assert list(kept_blocks(tmp_path)) == []
    aside = block.path.with_name(f"{block.name}.aside-1")
    block.path.rename(aside)
    assert seen(block) is None
    aside.rename(block.path)
