"""What tests of several folders use."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import Postgres
from tests.support.waiting import PATIENCE

LIVE = Path(__file__).parent / "live"

# Hundreds of daemons and commands are started here: without compiled files each compiles all of hvd anew, most of what
# a start costs. Set in some images of containers; who starts pytest has imported nothing of hvd before.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test's own deadline has the patience of all others; and the longest tests begin first."""
    for item in items:
        own = item.get_closest_marker("timeout")  # of the test, or of its module
        seconds = float(own.args[0] if own else config.getini("timeout"))
        item.add_marker(pytest.mark.timeout(seconds * PATIENCE), append=False)
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if processes > 1:
        items[:] = dealt(items, processes)


def dealt(items: list[pytest.Item], processes: int) -> list[pytest.Item]:
    """Such that each process has its share of the tests that are marked as long, then of those in tests/live, and the
    many short ones at the end.

    xdist's `worksteal` gives each process as many tests as any other, one after the other; who has none left takes
    some of another's last ones. So a long test that is not begun early is what all wait for in the end; and tests of
    one file, which may share a daemon, stay together.
    """
    marks = [(mark.args[0], item) for item in items if (mark := item.get_closest_marker("long"))]
    long = [item for _, item in sorted(marks, key=lambda mark: -mark[0])]
    live = [item for item in items if item not in {*long} and LIVE in item.path.parents]
    rest = [item for item in items if item not in {*long, *live}]
    order: list[pytest.Item] = []
    for process in range(processes):
        left = len(items) - len(order)
        first = long[process::processes]
        first += live[len(live) * process // processes : len(live) * (process + 1) // processes]
        number = max(0, left // (processes - process) - len(first))
        order += [*first, *rest[:number]]
        rest = rest[number:]
    return [*order, *rest]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, with a new database for each that asks for one."""
    with Postgres() as server:
        yield server
