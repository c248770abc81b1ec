"""Fixtures that tests of several folders use."""

from collections.abc import Iterator

import pytest

from tests.support.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, with a new database for each that asks for one."""
    with Postgres() as server:
        yield server
