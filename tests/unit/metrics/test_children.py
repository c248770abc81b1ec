"""Children take slots of their own when they first count: forked, or executed by whatever way."""

import logging
import multiprocessing
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hvd.core import layout
from hvd.core.acquire import acquire
from hvd.core.block import Block
from hvd.core.own.store import own_store
from hvd.core.proc import is_alive
from hvd.core.slots import Slots
from hvd.metrics import children, parent
from hvd.metrics.instruments.functions import functions
from hvd.settings.environ import environment
from tests.support.waiting import until
from tests.unit.core.own.support import SHAPE, TURNS, values
from tests.unit.core.support import ended, fork, keeping_locked

turns = own_store.declare(TURNS)


@pytest.fixture
def block(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Block]:
    """A block whose master, and worker, this process is."""
    block, _ = acquire(name, SHAPE)
    block.add_master(os.getpid())
    monkeypatch.setattr(own_store, "first", parent.join)
    monkeypatch.setattr(functions, "_functions", weakref.WeakKeyDictionary())  # a gauge of another test has a thread
    monkeypatch.setenv(parent.VARIABLE, "")
    own_store.after_fork()
    own_store.attach(block, Slots(block).claim(layout.KIND_WORKER, os.getpid(), os.getpid()))
    children.let_join(block)
    yield block
    own_store.after_fork()
    block.release_claim()
    os.close(block.fd)


def count(times: int = 1) -> None:
    """In a child, too: what it does."""
    for _ in range(times):
        turns.place().inc()  # type: ignore[attr-defined]


def joined(block: Block) -> list[int]:
    return [slot.pid for slot in Slots(block).joined()]


def kinds(block: Block) -> list[int]:
    return [slot.kind for slot in Slots(block).taken()]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_of_multiprocessing_counts(block: Block, method: str) -> None:
    """And what it has counted stays, exactly; it says that it ends."""
    count(2)
    context: Any = multiprocessing.get_context(method)
    process = context.Process(target=count, args=(3,))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    stop_helpers()
    count()
    assert values(block, "turns") == {(): 6}
    (child,) = [slot for slot in Slots(block).taken() if slot.kind == layout.KIND_JOINED and slot.pid == process.pid]
    assert child.threads == children.ENDING


def stop_helpers() -> None:
    """The processes that multiprocessing keeps for what may come."""
    from multiprocessing.forkserver import _forkserver
    from multiprocessing.resource_tracker import _resource_tracker

    _forkserver._stop()  # type: ignore[attr-defined]
    _resource_tracker._stop()  # type: ignore[attr-defined]


def test_a_forked_child_that_counts_nothing_takes_no_slot(block: Block) -> None:
    """One that counts takes one, of its own, without a thread; a child of its own does as well."""

    def grandchild() -> None:
        assert kinds(block) == [layout.KIND_WORKER, layout.KIND_JOINED]
        count()
        assert os.getpid() in joined(block)

    def child() -> None:
        assert kinds(block) == [layout.KIND_WORKER]
        count()
        assert joined(block) == [os.getpid()]
        assert len(os.listdir("/proc/self/task")) == 1
        assert ended(fork(grandchild)) == 0

    assert ended(fork(child)) == 0
    assert values(block, "turns") == {(): 2}


def test_a_child_that_begins_to_count_waits_for_no_thread_with_the_locked_block(block: Block) -> None:
    """One thread may have the store's lock, and wait for the block's, while another one takes the slot."""

    def child() -> None:
        attach, threads = own_store.attach, ThreadPoolExecutor(1)

        def while_another_thread_appends(block: Block, slot: int) -> None:
            threads.submit(append, block).result(10)
            attach(block, slot)

        own_store.attach = while_another_thread_appends  # type: ignore[method-assign]
        count()
        assert joined(block) == [os.getpid()]

    def append(block: Block) -> None:
        with block.locked(0.0):
            pass

    assert ended(fork(child)) == 0


def test_the_next_daemon_does_not_wait_for_a_child(name: str) -> None:
    """Whose parents were killed: it has no ownership lock. It counts on, and is the last one to remove the block."""
    ends, begun = os.pipe(), os.pipe()

    def child(block: Block) -> None:
        block.release_claim()
        count()
        os.write(begun[1], b".")
        os.read(ends[0], 1)
        count()
        children.leave(block, own_store.slot)

    def master() -> None:
        block, _ = acquire(name, SHAPE)
        own_store.attach(block, Slots(block).claim(layout.KIND_WORKER, os.getpid(), os.getpid()))
        children.let_join(block)
        os.close(ends[1])
        fork(lambda: child(block))

    assert ended(fork(master)) == 0
    os.read(begun[0], 1)
    block, existed = acquire(name, SHAPE, wait=0.0)
    assert existed
    (slot,) = Slots(block).joined()
    assert values(block, "turns") == {(): 1}
    assert block.remove_if_last(lambda: any(Slots(block).joined()))
    os.close(ends[1])
    until(lambda: not is_alive(slot.pid, slot.pid_start), "the child has ended")
    assert not block.path.exists()
    assert values(block, "turns") == {(): 2}
    block.release_claim()
    for fd in (block.fd, ends[0], *begun):
        os.close(fd)


PROGRAM = """\
import sys
from hvd.core.own.definition import Definition
from hvd.core.own.store import own_store
from hvd.core.proc import is_alive
import hvd.metrics.parent
turns = own_store.declare(Definition("turns", "counter", "Turns."))
for _ in range(5):
    turns.place().inc()
print(own_store.slot)
"""


def run(block: Block, **environ: str) -> int:
    """The slot that a program in Python has had; -1: none."""
    variables = {**environment(), **environ}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=variables, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_program_that_is_executed_counts(block: Block) -> None:
    """It finds the block by its name; where there is none of that name, it counts by itself."""
    assert run(block) >= layout.COMPANION_SLOTS
    assert values(block, "turns") == {(): 5}
    assert run(block, **{parent.VARIABLE: ""}) == run(block, **{parent.VARIABLE: "hvd-no-such"}) == -1
    assert values(block, "turns") == {(): 5}


def test_while_no_slot_can_be_had_a_child_counts_by_itself(block: Block, caplog: pytest.LogCaptureFixture) -> None:
    """It says so once, and takes one when it counts and there is one; all it has counted comes along."""
    slots = Slots(block)
    taken = [slots.claim(layout.KIND_JOINED, os.getpid(), os.getpid()) for _ in range(3)]

    def child() -> None:
        with caplog.at_level(logging.WARNING, "hvd"):
            count()
            own_store._look_at = 0.0
            count()
        assert caplog.text.count("slots for joined processes") == 1
        assert values(block, "turns").get((), 0) == 0
        slots.free(taken[0])
        own_store._look_at = 0.0
        count()
        assert values(block, "turns") == {(): 3}

    assert ended(fork(child)) == 0


def test_a_locked_block_is_waited_for_once_and_not_long(block: Block) -> None:
    """Then counting goes on, in memory of the child."""

    def child() -> None:
        count(1000)
        assert turns.place().counted()[0] == 1000
        assert own_store.block is None

    with keeping_locked(block):
        assert ended(fork(child)) == 0


def test_what_is_to_be_done_at_the_end_is_not_done_by_a_child(tmp_path: Path) -> None:
    """Which inherits it; a child of multiprocessing has no other end."""
    script = f"""\
import os, sys, multiprocessing.util
from hvd.metrics.children import call_at_end
call_at_end(lambda: open({str(tmp_path / "ends")!r}, "a").write(str(os.getpid()) + " "))
if os.fork() == 0:
    sys.exit()
os.wait()
print(os.getpid())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert {*(tmp_path / "ends").read_text().split()} == {done.stdout.strip()}
