"""What the keys do, in words: the last line of the screen, and all of them. Pure."""

from rich.style import Style
from rich.text import Text

from hvd.cli.top.choice import TABS

ACTIONS = (
    ("q", "quit"),
    ("question_mark,h,f1", "help"),
    ("slash", "search"),
    ("escape", "forget_search"),
    ("tab", "tab(1)"),
    ("shift+tab", "tab(-1)"),
    *((str(place), f"show_tab('{tab}')") for place, tab in enumerate(TABS, 1)),
    ("s,right", "sort(1)"),
    ("S,left", "sort(-1)"),
    ("r", "reverse"),
    ("t", "span"),
    ("w", "window"),
    ("space", "pause"),
    ("p", "pin"),
    ("c", "cancel"),
    ("ctrl+l", "redraw"),
)
"""Keys, by Textual's names, and what the app does for them."""

DEEDS = frozenset(action.partition("(")[0] for _, action in ACTIONS)
"""The names of what it does."""

_KEYS = (
    ("question_mark", "? help"),
    ("q", "q quit"),
    ("enter", "Enter details"),
    ("slash", "/ filter"),
    ("s", "s sort"),
    ("r", "r reverse"),
    ("tab", "Tab list"),
    ("w", "w window"),
    ("space", "Space pause"),
)
_OF_TABS = {"jobs": ("c", "c cancel"), "metrics": ("p", "p pin"), "routes": ("t", "t since start")}
_HELP = (
    ("q, Ctrl-C", "quit"),
    ("Tab, 1 to 5", "the next list; workers, routes, jobs, own metrics, events"),
    ("j k, arrows, wheel", "move the cursor; PgDn and PgUp by a page, g and G to the ends"),
    ("Enter, click", "all of the row under the cursor: statuses, stacks, parameters, last lines"),
    ("/", "only rows that have these words; Esc shows all again"),
    ("s S, right left", "sort by the next column, or the one before; so does a click on its head"),
    ("r", "the other way round"),
    ("t", "routes of the last minute, or since the start"),
    ("w", "time that the charts show: 15, 5 or 1 minutes"),
    ("c", "cancel the job under the cursor, after a question"),
    ("p", "pin the own metric under the cursor: the daemon keeps its last 15 minutes; or pin it no more"),
    ("Space", "pause: the numbers stand still, the daemon is still listened to"),
    ("Ctrl-L", "draw the screen anew"),
    ("Ctrl-Z", "suspend; fg goes on"),
)
_NOTES = (
    "The table at the top compares the last minute with the minute before it.",
    "Charts show the highest value of each time; a blank is a time without requests.",
    "Letters below them: S start, E end, R reload, U upgrade, V version, D death, F failed boot, A alert, O over.",
)


def keys_line(width: int, tab: str) -> Text:
    """The last line: as many keys as have room."""
    line = Text(end="")
    keys = [*_KEYS[:2], *([_OF_TABS[tab]] if tab in _OF_TABS else []), *_KEYS[2:]]
    for key, what in keys:
        room = 2 if line.plain else 0
        if line.cell_len + room + len(what) <= width:
            line.append(" " * room).append(what, Style(dim=True, meta={"key": key}))
    return line


def help_lines() -> list[Text]:
    """What the keys do."""
    lines = [Text(f"{key:<21}", "bold", end="").append(what, "not bold") for key, what in _HELP]
    return [*lines, Text(end=""), *(Text(note, end="") for note in _NOTES)]
