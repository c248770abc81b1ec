"""A process that takes a slot of a daemon's block by itself. This one is the daemon's master too."""

import fcntl
import logging
import os
import time
from collections.abc import Callable
from typing import Any

import pytest

import hvd
from hvd.core import layout
from hvd.core.acquire import acquire, header_of
from hvd.core.block import Block, open_block
from hvd.core.layout import Layout
from hvd.core.own.definition import Definition
from hvd.core.own.store import own_store
from hvd.core.private import private_rows
from hvd.core.slots import Slots
from hvd.core.totals import Heads, Reader
from hvd.daemon.deaths import UNKNOWN_CAUSE, Settler
from hvd.errors import DaemonsAmbiguous, JoinRefused
from hvd.instrument import joining as module
from hvd.instrument.counting import Counting
from hvd.instrument.joining import Joining
from hvd.metrics.table import FAMILIES
from tests.unit.core.own.support import values
from tests.unit.core.support import SMALL, dead_pid, ended, fork, keeping_locked, serve


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """This process's, which looks for a daemon only when a test says so."""
    counting = Counting()
    monkeypatch.setattr(module, "counting", counting)
    monkeypatch.setattr(Joining, "_start", lambda self: None)
    return counting


@pytest.fixture
def join(block: Block, counting: Counting) -> Callable[[], Joining]:
    def join() -> Joining:
        joining = Joining(block.name.removeprefix("hvd-"))
        joining.begin()
        return joining

    return join


def heads(block: Block) -> Heads:
    return Reader(block).read().heads


def joined(block: Block) -> list[int]:
    return [slot.pid for slot in Slots(block).joined()]


def test_with_a_daemon_it_counts_in_its_block_at_once(block: Block, join: Any, counting: Counting) -> None:
    """In a slot that says which process it is."""
    block.add_master(os.getpid())
    join()
    serve(counting.local.row)
    assert joined(block) == [os.getpid()]
    assert heads(block) == Heads(1, 1, 0, 0, 0)


@pytest.mark.parametrize("counts_before", [False, True])
def test_without_one_it_joins_when_one_appears(
    block: Block, join: Any, counting: Counting, counts_before: bool
) -> None:
    """With all that it has counted by then, and what ends in the rows of before."""
    if counts_before:
        serve(counting.local.row)
    joining = join()
    for _ in range(3 - counts_before):
        serve(counting.local.row)
    row = counting.local.row
    row.begin("GET", "/slow")
    joining.turn()
    assert joined(block) == []
    block.add_master(os.getpid())
    joining.turn()
    serve(counting.local.row)
    assert heads(block) == Heads(5, 4, 0, 0, 1)
    row.abandon("exception")
    joining.turn()
    assert heads(block) == Heads(5, 4, 1, 0, 0)


def test_a_forked_child_takes_a_slot_of_its_own(block: Block, join: Any, counting: Counting) -> None:
    """At its first use; its parent's stays its parent's."""
    block.add_master(os.getpid())
    joining = join()
    serve(counting.local.row)

    def child() -> None:
        counting.after_fork()
        joining.after_fork()
        assert joined(block) == [os.getppid()]
        serve(counting.local.row)
        assert joined(block) == [os.getppid(), os.getpid()]

    assert ended(fork(child)) == 0
    serve(counting.local.row)
    assert joined(block) == [os.getpid()]
    assert heads(block) == Heads(3, 3, 0, 0, 0)


def test_where_no_slot_is_free_it_says_so_once(
    block: Block, join: Any, counting: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    """And takes one as soon as there is one. Some are the workers' alone."""
    block.add_master(os.getpid())
    slots, taken = Slots(block), list[int]()
    for _ in range(SMALL.slots - layout.COMPANION_SLOTS - 1):
        taken.append(slots.claim(layout.KIND_JOINED, os.getppid(), os.getppid()))
    joining = join()
    joining.turn()
    serve(counting.local.row)
    assert caplog.text.count("slots for joined processes") == 1
    assert slots.claim(layout.KIND_WORKER, os.getpid()) < min(taken)
    Settler(block, logging.getLogger("test")).settle_slot(taken[1], os.getppid(), UNKNOWN_CAUSE)
    joining.turn()
    assert heads(block) == Heads(1, 1, 0, 0, 0)


def test_it_waits_for_no_process_that_keeps_the_block_locked(block: Block, join: Any, counting: Counting) -> None:
    """It counts by itself meanwhile."""
    block.add_master(os.getpid())
    with keeping_locked(block):
        began = time.monotonic()
        joining = join()
        serve(counting.local.row)
        assert time.monotonic() - began < 5
        assert joined(block) == []
    joining.turn()
    assert heads(block) == Heads(1, 1, 0, 0, 0)


def test_where_it_can_count_in_no_row_the_slot_stays_free(
    block: Block, join: Any, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So what fails at each look takes one slot after the other not."""
    joining = join()
    block.add_master(os.getpid())
    with monkeypatch.context() as patched:
        patched.setattr(module, "Source", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            joining.turn()
    assert joined(block) == []


def test_another_user_s_daemon_refuses(
    block: Block, join: Any, monkeypatch: pytest.MonkeyPatch, counting: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    """It is named, with the user's name; one that nobody has named is only mentioned."""
    block.add_master(os.getpid())
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(JoinRefused, match=f"{block.name.removeprefix('hvd-')} .*with uid 4242's: run it as"):
        join()
    Joining("").begin()
    assert "no daemon of this user runs" in caplog.text
    assert joined(block) == []


def test_of_several_daemons_one_must_be_named(
    block: Block, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the settings, at least; the error says which there are."""
    block.add_master(os.getpid())
    kept = next(module.kept_blocks(name=block.name))
    others = [kept, module.KeptBlock("hvd-other", os.geteuid(), layout.FORMAT, (1,), 1)]
    monkeypatch.setattr(module, "kept_blocks", lambda name="": others)
    with pytest.raises(DaemonsAmbiguous, match=r"2 daemons run: .*: test-.*, other"):
        Joining("").begin()
    Joining("", block.name.removeprefix("hvd-")).begin()
    assert joined(block) == [os.getpid()]


def test_it_follows_the_name_to_another_block(block: Block, join: Any, counting: Counting) -> None:
    """With what it had counted in the old one since it joined, and what ends there; once no daemon has that one."""
    serve(counting.local.row)
    block.add_master(os.getpid())
    joining = join()
    serve(counting.local.row)
    row = counting.local.row
    row.begin("GET", "/slow")
    block.path.unlink()
    other = block.path.with_name("hvd-test-other")
    fd = os.open(other, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.ftruncate(fd, SMALL.size)
        os.pwrite(fd, header_of(SMALL), 0)
        os.link(other, block.path)
        new = open_block(block.name)
        new.add_master(os.getpid())
        joining.turn()
        assert joined(new) == []
        block.cells[layout.H_MASTERS] = dead_pid()
        joining.turn()
        serve(counting.local.row)
        assert heads(new) == Heads(4, 3, 0, 0, 1)
        row.abandon("exception")
        joining.turn()
        assert heads(new) == Heads(4, 3, 1, 0, 0)
        os.close(new.fd)
    finally:
        other.unlink()
        os.close(fd)


def test_the_last_to_end_removes_what_a_stopped_daemon_left(block: Block, join: Any, counting: Counting) -> None:
    """Not while another one counts there, nor what a killed daemon left: that is the next one's."""
    block.add_master(os.getpid())
    joining = join()
    fcntl.flock(block.fd, fcntl.LOCK_UN)  # this process is no daemon's any more
    slots = Slots(block)
    other = slots.claim(layout.KIND_JOINED, os.getppid(), os.getppid())
    block.cells[layout.H_MASTERS] = dead_pid()
    joining.leave()
    assert block.path.exists()
    block.cells[layout.H_MASTERS] = 0
    joining.leave()
    assert block.path.exists()
    slots.free(other)
    joining.leave()
    assert not block.path.exists()


def test_a_daemon_s_own_processes_have_no_need_to_join(counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    """An app may be served by its workers, and by others."""
    counting.is_in_daemon = True
    monkeypatch.setattr(module, "load", lambda: 1 / 0)
    hvd.join("x")
    counting.is_in_daemon = False
    with pytest.raises(ZeroDivisionError):
        hvd.join("x")


def test_the_app_that_it_serves_is_counted(counting: Counting) -> None:
    """By `hvd.count`, once."""
    app = hvd.count(lambda environ, start_response: [])
    assert hvd.count(app) is app


def test_private_rows_are_those_of_no_process(counting: Counting) -> None:
    """Their slot is no joined process's."""
    assert joined(private_rows(FAMILIES).block) == []


def test_own_metrics_go_along(name: str, counting: Counting) -> None:
    """To the first daemon, by a slot that is the requests' too, and to another block, with all that it has counted; a
    forked child's first count takes a slot of its own.
    """
    family = own_store.declare(Definition("joined_turns", "counter", "Turns."))
    turns: Any = family.place()
    turns.inc(2)
    joining = Joining(name.removeprefix("hvd-"))
    joining.begin()
    shape = Layout(SMALL.slots, SMALL.rows, SMALL.series, SMALL.run_cells, own_series=64)
    block, _ = acquire(name, shape)
    block.add_master(os.getpid())
    joining.turn()
    turns.inc()
    assert (values(block, "joined_turns"), own_store.slot) == ({(): 3}, counting.rows.slot)

    def child() -> None:
        counting.after_fork()
        joining.after_fork()
        turns.inc()
        assert joined(block) == [os.getppid(), os.getpid()]
        assert own_store.slot == counting.rows.slot
        assert values(block, "joined_turns") == {(): 4}

    assert ended(fork(child)) == 0
    block.cells[layout.H_MASTERS] = dead_pid()
    block.file_name.remove()
    block.release_claim()
    new, existed = acquire(name, shape)
    assert not existed
    new.add_master(os.getpid())
    joining.turn()
    turns.inc()
    assert values(new, "joined_turns") == {(): 4}
    assert own_store.slot == counting.rows.slot
    new.release_claim()
