"""A small block of its own for each test."""

import os
import uuid
from collections.abc import Iterator

import pytest

from hvd.core.acquire import acquire
from hvd.core.block import DIRECTORY, Block
from hvd.core.layout import Layout
from hvd.core.own.store import own_store
from hvd.metrics import parent
from hvd.metrics.instruments.functions import functions
from hvd.settings.environ import environment, take_out
from tests.support.leftovers import nothing_left
from tests.support.runtime import remove_runtime_folders
from tests.unit.core.own.support import SHAPE
from tests.unit.core.support import SMALL


@pytest.fixture(autouse=True)
def leftovers() -> Iterator[None]:
    """A test leaves its process as it was; what fixtures of a module or of the session have begun goes on."""
    with nothing_left():
        yield


@pytest.fixture(autouse=True)
def no_own_slot() -> Iterator[None]:
    """A master, worker or joined process that a test has made of this process counts no own metrics any more."""
    yield
    if own_store.block is not None or parent.VARIABLE in environment():
        own_store.after_fork()
        own_store.first = parent.join
        take_out([parent.VARIABLE])
    functions._functions.clear()  # so that their thread ends


@pytest.fixture
def name() -> Iterator[str]:
    """A segment's name that nobody uses; whatever is there in the end is removed."""
    name = f"hvd-test-{uuid.uuid4().hex[:12]}"
    yield name
    for left in (DIRECTORY / name, DIRECTORY / f"{name}~", *DIRECTORY.glob(f"{name}.aside-*")):
        left.unlink(missing_ok=True)
    remove_runtime_folders(name.removeprefix("hvd-"))


@pytest.fixture
def block(name: str) -> Iterator[Block]:
    """A block that is just made."""
    yield from _made(name, SMALL)


@pytest.fixture
def own_block(name: str) -> Iterator[Block]:
    """The same with room for own metrics."""
    yield from _made(name, SHAPE)


def _made(name: str, shape: Layout) -> Iterator[Block]:
    block, existed = acquire(name, shape)
    assert not existed
    yield block
    block.release_claim()
    os.close(block.fd)
