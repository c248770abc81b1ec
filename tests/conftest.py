"""What tests of several folders use."""

from collections.abc import Iterator

import pytest

from tests.support.postgres import Postgres
from tests.support.waiting import PATIENCE


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test's own deadline has the patience of all others."""
    for item in items:
        item.add_marker(pytest.mark.timeout(float(config.getini("timeout")) * PATIENCE))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, with a new database for each that asks for one."""
    with Postgres() as server:
        yield server
