"""What keys do."""

import pytest

from hvd.cli.top.keys import METRICS, WINDOWS, Decoder, State, help_lines, keys_line, pressed
from tests.unit.cli.top.data import frame

ORDERS = (5, 6, 3)
WITH_METRICS = (*ORDERS, 3)


def after(*keys: str, state: State | None = None, page: int = 10) -> State:
    state = state or State()
    for key in keys:
        state = pressed(state, key, ORDERS, page)
    return state


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"qp ", ["q", "p", " "]),
        (b"\x1b[A\x1bOB\x1b[5~\x1b[6~", ["up", "down", "page up", "page down"]),
        (b"\t\x1b[Z\x0c", ["tab", "back tab", "redraw"]),
        (b"/a\x7f\r\n", ["/", "a", "backspace", "enter", "enter"]),
        (b"\x1b[1;5A\x1b[200~\xc3\xa4\x00", []),
    ],
)
def test_bytes_become_keys(data: bytes, keys: list[str]) -> None:
    """Whole, and byte by byte; what is unknown is nothing."""
    assert Decoder().feed(data) == keys
    decoder = Decoder()
    assert [key for byte in data for key in decoder.feed(bytes([byte]))] == keys or b"\x1b" in data


def test_each_list_is_sorted_and_scrolled_by_itself() -> None:
    """And keeps that when another has the room."""
    state = after("s", "s", "r", "tab", "j", "j", "s")
    assert (state.focus, state.orders, state.turned) == (1, (2, 1, 0, 0), (True, False, False, False))
    assert state.scrolled == (0, 0, 0, 0), "another order begins at its top"
    assert after("3", "back tab").focus == 1
    assert after(*["s"] * ORDERS[0]).orders == (0, 0, 0, 0), "after the last order comes the first"
    assert after(*["tab"] * len(ORDERS)).focus == 0


def test_scrolling_never_leaves_the_top() -> None:
    """By rows, pages, and to the ends."""
    assert after("k", "page up", "up").scrolled[0] == 0
    assert after("j", "page down", "k").scrolled[0] == 10
    assert after("G", "g").scrolled[0] == 0


def test_pause_help_window_and_quit() -> None:
    """Each its key; any key leaves the help, and q quits from there too."""
    assert after("p").paused
    assert not after("p", " ").paused
    assert after("?").help
    assert after("?", "j") == State()
    assert after("?", "q").quits
    assert after("w").window == 1
    assert after(*["w"] * len(WINDOWS)).window == 0
    assert after("x") == State()


def test_every_key_in_the_last_line_does_something() -> None:
    """But those that only move what is longer than the screen."""
    start = State()
    keys = [part.split()[0] for part in keys_line(frame()).plain.split("  ")]
    assert keys == ["q", "p", "s", "r", "Tab", "j", "w", "?"]
    assert all(pressed(start, key.lower(), (5, 6, 3), 1) != start for key in keys)
    assert keys_line(frame(30)).plain == "q quit  ? help"
    assert help_lines(frame())[0].plain == "hvd top: keys"


def test_own_metrics_are_searched_selected_and_pinned() -> None:
    """Where there are some. While a search is typed, keys are its characters."""
    state = State()
    for key in ("/", "q", "x", "backspace", " ", "2", "enter", "j", "j"):
        state = pressed(state, key, WITH_METRICS, 10)
    assert (state.focus, state.search, state.typing, state.scrolled[METRICS]) == (METRICS, "q 2", False, 2)
    assert pressed(state, "enter", WITH_METRICS, 10).pins
    assert pressed(state, "escape", WITH_METRICS, 10).search == ""
    again = pressed(state, "/", WITH_METRICS, 10)
    assert (again.search, again.scrolled[METRICS]) == ("", 0)
    assert pressed(again, "escape", WITH_METRICS, 10).typing is False
    assert (
        pressed(State(), "4", WITH_METRICS, 10).focus == pressed(State(), "back tab", WITH_METRICS, 10).focus == METRICS
    )
    assert after("4", "/", "enter") == State()


def test_the_last_line_has_the_keys_of_own_metrics() -> None:
    """While they have the focus."""
    assert "/ search  Enter pin" in keys_line(frame(), metrics=True).plain
