"""Where a master's processes leave their stacks."""

import os
from collections.abc import Iterator

import pytest

from hvd.core.stacks import StackFile


@pytest.fixture
def file() -> Iterator[StackFile]:
    """A file of stacks, which is gone afterwards."""
    stacks = StackFile()
    yield stacks
    os.close(stacks.fd)
