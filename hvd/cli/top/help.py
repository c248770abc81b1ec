"""What the keys do, in words. Pure."""

from rich.cells import cell_len
from rich.text import Text

from hvd.cli.top.frame import Frame

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
