"""Functions of gauges: when they are called, by whom, and what happens where one fails."""

import gc
import os
import threading

import pytest

import hvd
from hvd.core.block import Block
from hvd.core.layout import KIND_ADMIN_SERVER, KIND_WORKER
from hvd.core.own.figures import OwnReader
from hvd.core.own.store import own_store
from hvd.core.slots import Slots
from hvd.metrics.instruments.functions import Functions
from tests.support.waiting import until
from tests.unit.core.own.support import values


def gauge() -> hvd.Gauge:
    return hvd.Gauge("level", "Level.", registry=hvd.CollectorRegistry(), multiprocess_mode="sum")


def _threads() -> int:
    return [thread.name for thread in threading.enumerate()].count("hvd-functions")


def test_other_readers_see_it_too(block: Block, slot: int) -> None:
    """A thread calls it again and again, in a process which others read."""
    functions, level, calls = Functions(period=0.01), gauge(), []
    reader = OwnReader(block)
    threads = _threads()
    functions.add(level, lambda: calls.append(1) or 7)
    until(lambda: values(block, "level", reader) == {(): 7.0}, "the value is stored")
    functions.start()
    assert _threads() == threads + 1
    functions.forget_thread()
    del level
    gc.collect()


@pytest.mark.parametrize("kind", [None, KIND_ADMIN_SERVER])
def test_no_thread_where_nobody_reads(block: Block, kind: int | None) -> None:
    """Without a slot, or in a process that forks."""
    if kind:
        own_store.attach(block, Slots(block).claim(kind, os.getpid(), os.getpid()))
    before = threading.active_count()
    functions, level = Functions(), gauge()
    functions.add(level, lambda: 1)
    assert threading.active_count() == before
    functions.evaluate()
    assert level.value == 1


def test_it_is_called_once_the_process_has_a_slot(block: Block) -> None:
    """By the store."""
    level = gauge()
    level.set_function(lambda: 5)
    own_store.attach(block, Slots(block).claim(KIND_WORKER, os.getpid(), os.getpid()))
    assert "hvd-functions" in [thread.name for thread in threading.enumerate()]
    assert level.collect()[0].samples[0].value == 5


def test_one_that_fails_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """The gauge stays as it was, and the others are called."""
    functions, broken, level = Functions(), gauge(), gauge()
    functions.add(broken, lambda: 1 / 0)
    functions.add(level, lambda: 3)
    for _ in range(2):
        functions.evaluate()
    assert level.value == 3
    assert [record.message for record in caplog.records] == [
        "hvd: the function of gauge:level failed: ZeroDivisionError('division by zero')"
    ]
