"""What keys do. Pure: from bytes to names of keys, from a state and a key to the next state; and that in words."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from rich.cells import cell_len
from rich.text import Text

from hvd.cli.top.frame import Frame

T = TypeVar("T")

LISTS = ("workers", "routes", "jobs")
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
    """What the user has chosen. For each list: which of its orders, whether turned round, how far it is scrolled."""

    focus: int = 0
    orders: tuple[int, ...] = (0, 0, 0)
    turned: tuple[bool, ...] = (False, False, False)
    scrolled: tuple[int, ...] = (0, 0, 0)
    window: int = 0
    paused: bool = False
    help: bool = False
    quits: bool = False


def pressed(state: State, key: str, orders: Sequence[int], page: int) -> State:
    """The state after a key. `orders` has each list's number of orders, `page` is the height of the one in focus."""
    if key == "q":
        return replace(state, quits=True)
    if state.help:
        return replace(state, help=False)
    focus = state.focus
    if key in _MOVES:
        rows = state.scrolled[focus] + _MOVES[key](page)
        return replace(state, scrolled=_put(state.scrolled, focus, max(0, rows)))
    if key in _FOCUS:
        return replace(state, focus=_FOCUS[key](focus))
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
    "tab": lambda focus: (focus + 1) % len(LISTS),
    "back tab": lambda focus: (focus - 1) % len(LISTS),
    "1": lambda focus: 0,
    "2": lambda focus: 1,
    "3": lambda focus: 2,
}


def _put(values: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    return (*values[:place], value, *values[place + 1 :])


_KEYS = ("q quit", "p pause", "s sort", "r reverse", "Tab list", "j k scroll", "w window", "? help")


def keys_line(frame: Frame) -> Text:
    """The last line: as many keys as have room."""
    line = Text(style="dim")
    for key in _KEYS if frame.width >= 40 else ("q quit", "? help"):
        part = f"{'  ' if line.plain else ''}{key}"
        if cell_len(line.plain) + len(part) <= frame.width:
            line.append(part)
    return line


_HELP = (
    ("q, Ctrl-C", "quit"),
    ("p, space", "pause: the numbers stand still, the daemon is still listened to"),
    ("Tab, 1 2 3", "give workers, routes or jobs the room"),
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
