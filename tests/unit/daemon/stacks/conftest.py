"""A process that is asked where its threads stand."""

import os
from collections.abc import Iterator

import pytest

from hvd.core.stacks import DUMPED, StackFile
from hvd.daemon.stacks.dumps import Dumps

SLOT = 3


@pytest.fixture
def dumps(file: StackFile) -> Iterator[Dumps]:
    """Of a process that is to be forked, and has the slot SLOT."""
    made = Dumps(file, SLOT, file.open_area(SLOT, DUMPED))
    yield made
    os.close(made.dump_fd)
