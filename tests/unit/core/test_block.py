"""The segment: made, taken over, shared, refused, removed."""

import gc
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hvd.core import block as module
from hvd.core import layout
from hvd.core.block import Block, attach, open_block
from hvd.core.slots import mark_used
from hvd.errors import BlockLocked
from tests.unit.core.support import PATIENCE, SMALL, WORKER, dead_pid, ended, fork, forked, keeping_locked


def test_a_block_is_made_whole(block: Block) -> None:
    """Its header says everything, the rest is zero and private, and only what is before the rows takes memory."""
    status = block.path.stat()
    assert (status.st_size, stat.S_IMODE(status.st_mode)) == (SMALL.size, 0o600)
    assert status.st_blocks * 512 == SMALL.first_entry
    cells = block.cells
    assert cells[layout.H_MAGIC].to_bytes(8, "little") == b"HVDBLOCK"
    assert cells[layout.H_STARTED_WALL] > 0
    assert not any(block.raw[layout.PAGE :])
    assert block.masters() == []


def test_another_program_reads_it_as_the_documents_say(block: Block) -> None:
    """And does it no harm at its end."""
    mark_used(block, WORKER, 0)
    block.cells[block.layout.row_cell(WORKER, 0) + layout.R_STARTED] = 4711
    page = (Path(__file__).parents[3] / "docs/metrics.md").read_text()
    (program,) = (text for text in re.findall(r"```python\n(.*?)```", page, re.S) if "open_block(" in text)
    program = program.replace("hvd-127.0.0.1-8080", block.name)
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout == "4711 0\n"
    assert block.file_name.holds()


def test_what_one_process_stores_another_reads(block: Block) -> None:
    """A forked child, and whoever opens it by name or attaches by descriptor."""
    cell = block.layout.row_cell(0, 0)
    assert ended(fork(lambda: block.cells.__setitem__(cell, 42))) == 0
    views = [open_block(block.name), attach(os.dup(block.fd), block.name)]
    for view in views:
        assert view.cells[cell] == 42
        assert view.layout == SMALL
        os.close(view.fd)


def test_a_dead_masters_place_is_given_to_the_next(block: Block) -> None:
    """There are two places, and a master that was killed doesn't keep one."""
    for pid in (dead_pid(), dead_pid(), os.getpid(), os.getpid()):
        block.add_master(pid)
    assert block.masters().count(os.getpid()) == 1
    block.drop_master(os.getpid())
    assert os.getpid() not in block.masters()


def test_one_holds_the_mutation_lock_at_a_time(block: Block) -> None:
    """Of the threads and processes that add to a cell by reading and storing; re-entrant in each."""
    rounds, workers = 300, 4

    def add(_: int) -> None:
        for _ in range(rounds):
            with block.locked(PATIENCE), block.locked():  # held long, and whoever waits may come last
                value = block.cells[100]
                os.sched_yield()
                block.cells[100] = value + 1

    def add_in_threads() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(add, range(2)))

    children = [fork(add_in_threads) for _ in range(workers)]
    assert [ended(pid) for pid in children] == [0] * workers
    assert block.cells[100] == rounds * workers * 2


def test_the_mutation_lock_is_gone_with_its_holder(block: Block) -> None:
    """Killed while it has the lock."""

    def hold() -> None:
        with block.locked():
            os.kill(os.getpid(), signal.SIGKILL)

    assert ended(fork(hold)) == -signal.SIGKILL
    with block.locked():
        pass


def test_the_mutation_lock_is_waited_for_as_long_as_is_said(block: Block) -> None:
    """Whoever must not stand still goes without it, and can have it once it is free."""
    with keeping_locked(block) as pid:
        with pytest.raises(BlockLocked, match=f"process {pid} keeps block {block.name} locked"), block.locked(0.05):
            pass
        with pytest.raises(BlockLocked), block.locked(0):
            pass
    with block.locked(0):
        pass
    assert ended(fork(lambda: block.locked(0).__enter__())) == 0, "nothing is held"


def test_a_descriptor_that_other_code_has_closed_is_opened_again(block: Block, tmp_path: Path) -> None:
    """And the file that has its number by now is left as it is; without a name of the segment there is no lock."""

    def count() -> None:
        os.close(block.fd)
        taken = os.open(tmp_path / "theirs", os.O_RDWR | os.O_CREAT)
        assert taken == block.fd
        with block.locked(0):
            block.reserve(block.layout.row_cell(1, 0), 100)
            assert ended(fork(lambda: in_vain())) == 0
        assert os.fstat(taken).st_size == 0
        block.file_name.remove()
        os.close(block.fd)
        with pytest.raises(BlockLocked, match="its descriptor was closed by other code"), block.locked(0):
            pass

    def in_vain() -> None:
        with pytest.raises(BlockLocked), block.locked(0):
            pass

    assert ended(fork(count)) == 0


def test_after_a_wait_that_failed_the_next_ones_only_try(block: Block) -> None:
    """Threads that wait one after the other would add up; for a second, which then is over."""
    with keeping_locked(block):
        with pytest.raises(BlockLocked), block.locked(0.05):
            pass
        start = time.monotonic()
        for _ in range(5):
            with pytest.raises(BlockLocked), block.locked(30):
                pass
        assert time.monotonic() - start < 10
        block._no_wait_until = 0.0
        with pytest.raises(BlockLocked), block.locked(0.2):
            start = time.monotonic()
        assert time.monotonic() - start >= 0.2


def test_a_stop_does_not_wait_for_a_stopped_process(block: Block) -> None:
    """The last one out removes the block without the lock."""
    with keeping_locked(block):
        block.drop_master(os.getpid())
        assert block.remove_if_last()
        assert not block.path.exists()


def test_a_child_forked_under_the_lock_can_have_it(block: Block) -> None:
    """A thread of the parent that holds it does not exist in the child."""
    inside, done = threading.Event(), threading.Event()

    def hold() -> None:
        with block.locked():
            inside.set()
            done.wait(20)

    def take() -> None:
        with block.locked():
            pass

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(20)
    pid = fork(take)  # waits for the kernel's lock, which the parent holds
    assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    done.set()
    assert ended(pid) == 0
    thread.join()


def test_a_block_that_nobody_refers_to_is_let_go(block: Block) -> None:
    """Opening it a hundred times leaves neither descriptors nor mappings."""
    gc.collect()
    before = len(os.listdir("/proc/self/fd")), Path("/proc/self/maps").read_text().count(block.name)
    for _ in range(100):
        os.close(open_block(block.name).fd)
    gc.collect()
    after = len(os.listdir("/proc/self/fd")), Path("/proc/self/maps").read_text().count(block.name)
    assert after == before


def test_a_missing_block_is_not_made_by_looking(name: str) -> None:
    """Only a master makes one."""
    with pytest.raises(FileNotFoundError):
        open_block(name)
    assert not (module.DIRECTORY / name).exists()


def test_masters_say_what_workers_they_can_not_start(block: Block) -> None:
    """Each of two during an upgrade; what a dead one said is of no account."""
    me, dead = os.getpid(), dead_pid()
    assert block.missing() == 0
    block.add_master(me)
    block.say_missing(me, 2)
    assert block.missing() == 2
    with forked(signal.pause) as other:
        block.add_master(other)
        block.say_missing(other, 3)
        assert block.missing() == 5
    assert block.missing() == 2
    block.say_missing(dead, 7)
    block.say_missing(me, 0)
    assert block.missing() == 0
