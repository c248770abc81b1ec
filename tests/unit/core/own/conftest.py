"""A block with room for own metrics."""

import os
from collections.abc import Iterator

import pytest

from hvd.core.acquire import acquire
from hvd.core.block import Block
from tests.unit.core.own.support import SHAPE


@pytest.fixture
def block(name: str) -> Iterator[Block]:
    """A block that is just made."""
    block, existed = acquire(name, SHAPE)
    assert not existed
    yield block
    block.release_claim()
    os.close(block.fd)
