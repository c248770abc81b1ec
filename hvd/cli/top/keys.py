"""What keys do. Pure: from bytes to names of keys, from a state and a key to the next state; and that in words."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from rich.cells import cell_len
from rich.text import Text

from hvd.cli.top.frame import Frame

T = TypeVar("T")

METRICS = 3
"""The list that is searched; it is there where the app has metrics of its own."""

WINDOWS = (900.0, 300.0, 60.0)  # s that the sparklines show

_SEQUENCE = re.compile(rb"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|O[@-~])|[\x00-\x7f]|[\x80-\xff]+")
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-9;?]*|O)\Z")
_SEQUENCES = {
    **{lead + b"A": "up" for lead in (b"\x1b[", b"\x1bO")},
    **{lead + b"B": "down" for lead in (b"\x1b[", b"\x1bO")},
    **{lead + b"H": "home" for lead in (b"\x1b[", b"\x1bO")},
    **{lead + b"F": "end" for lead in (b"\x1b[", b"\x1bO")},
    b"\x1b[5~": "page up",
    b"\x1b[6~": "page down",
    b"\x1b[1~": "home",
    b"\x1b[4~": "end",
    b"\x1b[Z": "back tab",
    b"\x1b": "escape",
    b"\t": "tab",
    b"\x0c": "redraw",
    b"\r": "enter",
    b"\n": "enter",
    b"\x7f": "backspace",
    b"\x08": "backspace",
    b"\x02": "page up",
    b"\x06": "page down",
}


class Decoder:
    """Bytes of a terminal -> names of keys. A sequence may come in pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The keys that these bytes complete. A character is its own name; unknown sequences are left out."""
        data, self._rest = self._rest + data, b""
        if unfinished := _UNFINISHED.search(data):
            data, self._rest = data[: unfinished.start()], data[unfinished.start() :][:32]
        return [name for sequence in _SEQUENCE.findall(data) if (name := _name(sequence))]


def _name(key: bytes) -> str:
    if key in _SEQUENCES:
        return _SEQUENCES[key]
    return key.decode() if len(key) == 1 and b" " <= key <= b"~" else ""


@dataclass(frozen=True)
class State:
    """What the user has chosen. For each list: which of its orders, whether turned round, how far it is scrolled; of
    own metrics, which is selected. What they are searched for, and whether that is being typed. `pins`: the selected
    one is to be pinned, or no more.
    """

    focus: int = 0
    orders: tuple[int, ...] = (0, 0, 0, 0)
    turned: tuple[bool, ...] = (False, False, False, False)
    scrolled: tuple[int, ...] = (0, 0, 0, 0)
    window: int = 0
    search: str = ""
    typing: bool = False
    pins: bool = False
    paused: bool = False
    help: bool = False
    quits: bool = False


def pressed(state: State, key: str, orders: Sequence[int], page: int) -> State:
    """The state after a key. `orders` has the number of orders of each list that there is, `page` is the height of the
    one in focus.
    """
    if state.typing or (len(orders) > METRICS and (key in _SEARCHES or (key == "enter" and state.focus == METRICS))):
        return _of_metrics(state, key)
    if key == "q":
        return replace(state, quits=True)
    if state.help:
        return replace(state, help=False)
    focus = min(state.focus, len(orders) - 1)
    if key in _MOVES:
        rows = state.scrolled[focus] + _MOVES[key](page)
        return replace(state, scrolled=_put(state.scrolled, focus, max(0, rows)))
    if key in _FOCUS:
        return replace(state, focus=_FOCUS[key](focus) % len(orders))
    if key == "s":
        following = (state.orders[focus] + 1) % orders[focus]
        return replace(
            state,
            orders=_put(state.orders, focus, following),
            turned=_put(state.turned, focus, False),
            scrolled=_put(state.scrolled, focus, 0),
        )
    if key == "r":
        return replace(state, turned=_put(state.turned, focus, not state.turned[focus]))
    if key == "w":
        return replace(state, window=(state.window + 1) % len(WINDOWS))
    if key in ("p", " "):
        return replace(state, paused=not state.paused)
    return replace(state, help=True) if key in ("?", "h") else state


def _of_metrics(state: State, key: str) -> State:
    if not state.typing:
        if key == "4":
            return replace(state, focus=METRICS)
        if key == "/":
            return replace(state, focus=METRICS, typing=True, search="", scrolled=_put(state.scrolled, METRICS, 0))
        return replace(state, pins=True) if key == "enter" else replace(state, search="")
    if key in ("enter", "escape"):
        return replace(state, typing=False, search=state.search if key == "enter" else "")
    search = state.search[:-1] if key == "backspace" else state.search + key if len(key) == 1 else state.search
    return replace(state, search=search[:_SEARCH], scrolled=_put(state.scrolled, METRICS, 0))


_SEARCH = 60  # characters
_SEARCHES = ("4", "/", "escape")
_FAR = 1_000_000  # rows: more than any list has; the screen stops at the last one
_MOVES: dict[str, Callable[[int], int]] = {
    "j": lambda page: 1,
    "down": lambda page: 1,
    "k": lambda page: -1,
    "up": lambda page: -1,
    "page down": lambda page: page,
    "page up": lambda page: -page,
    "home": lambda page: -_FAR,
    "g": lambda page: -_FAR,
    "end": lambda page: _FAR,
    "G": lambda page: _FAR,
}
_FOCUS: dict[str, Callable[[int], int]] = {
    "tab": lambda focus: focus + 1,
    "back tab": lambda focus: focus - 1,
    "1": lambda focus: 0,
    "2": lambda focus: 1,
    "3": lambda focus: 2,
}


def _put(values: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    return (*values[:place], value, *values[place + 1 :])


_OF_METRICS = ("q quit", "/ search", "Enter pin", "j k select", "s sort", "r reverse", "Tab list", "w window", "? help")
_KEYS = ("q quit", "p pause", "s sort", "r reverse", "Tab list", "j k scroll", "w window", "? help")


def keys_line(frame: Frame, *, metrics: bool = False) -> Text:
    """The last line: as many keys as have room; others while `metrics` have the focus."""
    line = Text(style="dim")
    keys = _OF_METRICS if metrics else _KEYS
    for key in keys if frame.width >= 40 else ("q quit", "? help"):
        part = f"{'  ' if line.plain else ''}{key}"
        if cell_len(line.plain) + len(part) <= frame.width:
            line.append(part)
    return line


_HELP = (
    ("q, Ctrl-C", "quit"),
    ("p, space", "pause: the numbers stand still, the daemon is still listened to"),
    ("Tab, 1 2 3 4", "give workers, routes, jobs or the app's own metrics the room"),
    ("/", "search own metrics; Esc forgets the search"),
    ("Enter", "pin the own metric that is selected: the daemon keeps its last fifteen minutes; or pin it no more"),
    ("s", "sort by the next column"),
    ("r", "the other way round"),
    ("j k, arrows", "scroll by a row; PgDn and PgUp by a page; g and G to the ends"),
    ("w", "time that the charts show: 15, 5 or 1 minutes"),
    ("Ctrl-L", "draw the screen anew"),
    ("Ctrl-Z", "suspend; fg goes on"),
)


def help_lines(frame: Frame) -> list[Text]:
    """What the keys do."""
    lines = [Text("hvd top: keys", "bold"), Text()]
    lines += [Text(f"{key:<12} ", "bold").append(what, "not bold") for key, what in _HELP]
    lines += [Text(), Text("Charts show the highest value of each time, errors as share of all.")]
    return [*lines, Text(), Text("Any key goes back.", "dim")]
