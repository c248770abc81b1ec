"""Slots of workers, from before the fork until after the end."""

import logging
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.slots import Slots
from hvd.daemon.deaths import Settler
from hvd.daemon.worker_slots import WorkerSlots
from hvd.daemon.workers import HELD, HvdThreadWorker
from hvd.metrics.table import EXITS
from hvd.settings.table import SLOTS_SPARE
from tests.unit.core.support import counts


@pytest.fixture
def workers(block: Block) -> WorkerSlots:
    return WorkerSlots(block, Slots(block), Settler(block, logging.getLogger("test")))


def test_a_worker_that_could_not_be_forked_needs_no_slot(block: Block, workers: WorkerSlots) -> None:
    """And signals reach the master again."""
    worker: Any = HvdThreadWorker.__new__(HvdThreadWorker)
    workers.before_fork(worker)
    workers.before_fork(worker)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) >= HELD
    assert [slot.number for slot in Slots(block).taken()] == [worker.hvd_slot]
    workers.after_fork(has_failed=True)
    assert not HELD & signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert list(Slots(block).taken()) == []


@pytest.mark.parametrize(
    ("status", "aborted", "cause"),
    [(9, False, "SIGKILL"), (3 << 8, False, "exit 3"), (6, True, "timeout"), (None, False, "unknown")],
)
def test_an_end_is_counted_by_its_cause(
    block: Block, workers: WorkerSlots, status: int | None, aborted: bool, cause: str
) -> None:
    """What waitpid(2) told, unless the master ended the worker for its silence."""
    worker: Any = SimpleNamespace(pid=4711, aborted=aborted, hold_signals=lambda: None, let_signals=lambda: None)
    workers.before_fork(worker)
    workers.after_fork(has_failed=False)
    if status is not None:
        workers.note_status(worker.pid, status)
    workers.settle(worker)
    assert list(Slots(block).taken()) == []
    assert counts(block, EXITS.key) == {("worker", cause): 1}


def test_some_slots_are_left_for_a_reload(block: Block, workers: WorkerSlots) -> None:
    """At least one worker may be there, however few slots the block has."""
    assert workers.most == max(1, block.layout.slots - layout.COMPANION_SLOTS - SLOTS_SPARE)
