"""What a daemon sent, taken apart."""

import pytest

from hvd.cli.answers import objects, texts


def test_only_what_is_of_the_kind_is_taken() -> None:
    """In its order."""
    assert objects([{"a": 1}, 2, None, {"b": 2}]) == ({"a": 1}, {"b": 2})
    assert texts(["a", 2, None, "b"]) == ("a", "b")


@pytest.mark.parametrize("odd", [None, 1, "text", {"a": 1}, True])
def test_what_is_no_list_has_none(odd: object) -> None:
    """An older daemon may not send it."""
    assert objects(odd) == texts(odd) == ()
