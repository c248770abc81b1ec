"""The two ways to the database that most tests take."""

import pytest

from hvd.jobs.database.connection import Database
from hvd.jobs.database.queue import Queue
from hvd.jobs.database.store import Store
from tests.unit.jobs.support import queue_of


@pytest.fixture
def store(database: Database) -> Store:
    """The jobs as clients see them."""
    return Store(database, "here/a")


@pytest.fixture
def queue(database: Database) -> Queue:
    """The queue as a runner sees it."""
    return queue_of(database)
