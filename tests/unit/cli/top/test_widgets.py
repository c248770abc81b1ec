"""The parts of the screen; tests of the app have them at work."""

from rich.text import Text

from hvd.cli.top.widgets import is_same


def test_lines_that_look_the_same_are_the_same() -> None:
    """Text, styles, and the parts that have them."""
    assert is_same(Text("a", "bold"), Text("a", "bold"))
    assert not is_same(Text("a"), Text("b"))
    assert not is_same(Text("a"), Text("a", "bold"))
    assert not is_same(Text("ab"), Text("a").append("b", "red"))
