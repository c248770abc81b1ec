"""What happens at limits is said once for all who count."""

from hvd.core import catalogue, limits
from hvd.core.own import store


def test_all_use_the_same() -> None:
    """Requests as own metrics, with a block as without one."""
    assert catalogue.OVERFLOW == limits.OVERFLOW == "overflow"
    assert catalogue.RETRY == store.RETRY == limits.RETRY
