"""The figures that readers get."""

from hvd.core.own.samples import Amounts, Sample


def test_how_many_were_observed() -> None:
    """In all buckets together."""
    assert Amounts((1, 0, 2), 5.5).observed == 3


def test_a_sample_has_no_exemplars_unless_some_are_given() -> None:
    """And nobody can add one to what all share."""
    assert Sample(("a",), 1, 2.0).exemplars is Sample(("b",), 1, 2.0).exemplars
    assert not Sample(("a",), 1, 2.0).exemplars
