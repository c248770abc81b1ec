"""A block in which the instruments of this process count for the time of a test."""

import os
import weakref
from collections.abc import Iterator

import pytest

from hvd.core.acquire import acquire
from hvd.core.block import Block
from hvd.core.layout import KIND_WORKER
from hvd.core.own.store import own_store
from hvd.core.slots import Slots
from hvd.metrics.instruments import base
from hvd.metrics.instruments.keys import Keys
from tests.unit.core.own.support import SHAPE


@pytest.fixture
def block(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Block]:
    """A block with room for own metrics; who counted there counts in memory of its own afterwards. Instruments of
    other tests, which may be in memory still, stay out.
    """
    monkeypatch.setattr(base, "keys", Keys())
    monkeypatch.setattr(own_store, "_families", weakref.WeakValueDictionary())
    block, existed = acquire(name, SHAPE)
    assert not existed
    yield block
    own_store.after_fork()
    block.release_claim()
    os.close(block.fd)


@pytest.fixture
def slot(block: Block) -> int:
    """The slot that this process has there."""
    number = Slots(block).claim(KIND_WORKER, os.getpid(), os.getpid())
    own_store.attach(block, number)
    return number
