"""What is counted, as the block knows it."""

from hvd.core.family import Families, Family


def test_families_have_those_of_a_row_among_them() -> None:
    """In the order in which a master adds them to a catalogue."""
    one, two, three = Family("one", ("a",)), Family("two", ("cause",)), Family("three", ())
    assert Families(one, two, (three,)).all == (one, two, three)


def test_a_family_without_a_limit_has_as_many_series_as_the_block() -> None:
    """Others have what they are said to have."""
    assert Family("one", (), limit=None).most(200) == 200
    assert Family("one", ()).most(200) == 64
