"""Since when series count."""

from hvd.core.own.figures import Amounts, Sample
from hvd.export.otlp.starts import Starts


def test_a_series_that_begins_anew_has_a_later_start() -> None:
    """Since the reading before: it was removed, and has counted again, in between. Others keep theirs."""
    starts, found = Starts(), []
    for at, value in ((10, 5), (20, 7), (30, 2), (40, 3), (50, 0.5)):
        starts.begin(at)
        counter, histogram = Sample(("a",), value, 2e-9), Sample(("a",), Amounts((3, 4), 1.0), 3e-9)
        found.append((starts.of("c", counter), starts.of("h", histogram), starts.of("c", Sample((), 1, 4e-9))))
    assert found == [(2, 3, 4), (2, 3, 4), (20, 3, 4), (20, 3, 4), (40, 3, 4)]


def test_a_series_that_was_created_anew_says_so_itself() -> None:
    """As that of another block."""
    starts = Starts()
    starts.begin(10)
    assert starts.of("c", Sample((), 5, 2e-9)) == 2
    starts.begin(20)
    assert starts.of("c", Sample((), 9, 15e-9)) == 15
