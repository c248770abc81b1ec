"""How long a test may take: as it says itself, as its module says, else as long as all; each with the same patience."""

import pytest

from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.timeout(900)


def deadline(request: pytest.FixtureRequest) -> float:
    """The one in force, in s: pytest-timeout takes the closest mark."""
    mark = request.node.get_closest_marker("timeout")
    assert mark
    seconds: float = mark.args[0]
    return seconds


def test_a_modules_deadline_is_its_tests(request: pytest.FixtureRequest) -> None:
    """What all tests have doesn't come before it."""
    assert deadline(request) == 900 * PATIENCE


@pytest.mark.timeout(600)
def test_a_tests_own_deadline_comes_first(request: pytest.FixtureRequest) -> None:
    """It has the patience of all others."""
    assert deadline(request) == 600 * PATIENCE
