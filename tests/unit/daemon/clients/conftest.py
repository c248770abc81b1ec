"""Loops for the tests of connections."""

from collections.abc import Iterator

import pytest

from hvd.daemon.clients.pace import Limits
from tests.unit.daemon.clients.loop import Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    """With limits of 0.2 s."""
    made = Loop(Limits(0.2, 0.2, 0.2))
    yield made
    made.close()


@pytest.fixture
def patient() -> Iterator[Loop]:
    """With the limits that are the default."""
    made = Loop(Limits())
    yield made
    made.close()
