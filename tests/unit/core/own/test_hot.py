"""Which form of the hot code is used."""

from hvd.core.own import hot, places, sums


def test_hot_gives_all_names_that_the_python_form_has() -> None:
    """So the store and the readers need not know which one it is."""
    for name in hot.__all__:
        assert hasattr(places, name) or hasattr(sums, name)
        assert getattr(hot, name)
