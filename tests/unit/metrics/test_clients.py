"""The states in which a client may be waited for, and their names."""

from hvd.core import layout
from hvd.metrics import clients


def test_each_state_is_the_index_of_its_name() -> None:
    """The slot has a cell for each."""
    for index, name in enumerate(clients.WAITING):
        assert getattr(clients, name.upper()) == index
    assert len(clients.WAITING) <= layout.CLIENTS
