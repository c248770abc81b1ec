"""Arguments of commands: places, braces, and what can begin an argument."""

import pytest

from hvd.settings.job_commands import leading_places, pieces_of, places_in


def test_an_argument_is_texts_and_places() -> None:
    """Double braces are braces."""
    assert pieces_of("-O{{{format}}}x") == (("-O", False), ("{", False), ("format", True), ("}", False), ("x", False))
    assert places_in("{a}:{b}{a}") == ["a", "b", "a"]
    assert pieces_of("") == ()


@pytest.mark.parametrize("argument", ["{", "}", "{}}", "{p", "p}", "{a}{"])
def test_a_stray_brace_is_refused(argument: str) -> None:
    """It would be a place that somebody has forgotten to close."""
    with pytest.raises(ValueError, match="written twice"):
        pieces_of(argument)


def test_places_before_any_text_may_begin_an_argument() -> None:
    """One may be empty, and leave that to the next."""
    assert leading_places("{a}{b}-{c}") == ["a", "b"]
    assert leading_places("-{a}") == []
