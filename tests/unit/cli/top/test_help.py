"""The keys in words."""

from hvd.cli.top.help import help_lines, keys_line
from hvd.cli.top.keys import State, pressed
from tests.unit.cli.top.data import frame


def test_every_key_in_the_last_line_does_something() -> None:
    """But those that only move what is longer than the screen."""
    start = State()
    keys = [part.split()[0] for part in keys_line(frame()).plain.split("  ")]
    assert keys == ["q", "p", "s", "r", "Tab", "j", "w", "?"]
    assert all(pressed(start, key.lower(), (5, 6, 3), 1) != start for key in keys)
    assert keys_line(frame(30)).plain == "q quit  ? help"
    assert help_lines(frame())[0].plain == "hvd top: keys"
