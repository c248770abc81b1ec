"""The guard's word; what it does is shown with the strays that it ends, in test_strays.py."""

from hvd.jobs import guard


def test_goodbye_is_one_byte() -> None:
    """It is read by one read(2) of one byte."""
    assert len(guard.GOODBYE) == 1
