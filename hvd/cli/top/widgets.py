"""The parts of the screen: lines that are drawn anew only where they changed, and a list with a cursor.

Textual's own DataTable draws all of its cells anew when one of them changes (docs/decisions.md has the measures).
"""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from hvd.cli.answers import Json
from hvd.cli.top.layout import Listing

_WHEEL = 3  # rows
_CURSOR = Style(reverse=True)
_BLANK = Text(end="")


def is_same(one: Text, other: Text) -> bool:
    """Whether two lines look the same."""
    return one.plain == other.plain and one.spans == other.spans and one.style == other.style


class Lines(Widget):
    """Lines of text, each as wide as the screen. Click on what has `meta` posts it as a Picked."""

    DEFAULT_CSS = "Lines { height: auto; width: 1fr; }"

    class Picked(Message):
        """A part of a line was clicked: the meta of its style."""

        def __init__(self, meta: dict[str, str]) -> None:
            super().__init__()
            self.meta = meta

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lines: Sequence[Text] = ()

    def show(self, lines: Sequence[Text]) -> None:
        """Show these lines; the widget is as high as they are many, unless its style says otherwise."""
        before, self.lines = self.lines, lines
        changed = [
            y
            for y, (line, old) in enumerate(zip_longest(lines, before, fillvalue=_BLANK))
            if not is_same(line, old) or y >= len(before)
        ]
        if len(lines) != len(before):
            self._fit()
        if changed:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    def _fit(self) -> None:
        self.styles.height = len(self.lines)
        self.display = bool(self.lines)

    def render_line(self, y: int) -> Strip:
        """The line in exactly so many cells."""
        line = self.lines[y] if y < len(self.lines) else _BLANK
        if line.spans:
            segments = [*line.render(self.app.console)]
        else:
            style = line.style if isinstance(line.style, Style) else Style.parse(line.style)
            segments = [Segment(line.plain, style)]
        return Strip(segments).adjust_cell_length(self.size.width)

    def get_content_height(self, *args: object) -> int:
        """As many as there are."""
        return len(self.lines)

    def on_click(self, event: events.Click) -> None:
        """Tell what was clicked."""
        if event.style.meta:
            self.post_message(self.Picked(dict(event.style.meta)))


class Rows(Lines, can_focus=True):
    """A list under its head, with a cursor. The cursor stays on its row wherever that goes, once it was moved."""

    DEFAULT_CSS = "Rows { height: 1fr; }"
    BINDINGS = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup,ctrl+b", "page(-1)", show=False),
        Binding("pagedown,ctrl+f", "page(1)", show=False),
        Binding("home,g", "move(-1000000)", show=False),
        Binding("end,G", "move(1000000)", show=False),
        Binding("enter", "open", show=False),
    ]

    class Moved(Message):
        """The cursor is on another row."""

    class Opened(Message):
        """The row under the cursor was chosen."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.listing: Listing | None = None
        self._empty = ""
        self._cursor, self._key, self._top = 0, "", 0

    @property
    def row(self) -> Json | None:
        """The row under the cursor; None where there is none."""
        rows = self.listing.rows if self.listing else ()
        return rows[self._cursor] if self._cursor < len(rows) else None

    @property
    def place(self) -> int:
        """The number of the row under the cursor, from 0."""
        return self._cursor

    def show_list(self, listing: Listing, empty: str) -> None:
        """Show these rows; `empty` where there are none."""
        if self.listing and listing.table.name != self.listing.table.name:
            self._cursor, self._key, self._top = 0, "", 0
        self.listing, self._empty = listing, empty
        if self._key:
            keys = [listing.table.key(row) for row in listing.rows]
            self._cursor = keys.index(self._key) if self._key in keys else self._cursor
        self._draw()

    def _draw(self) -> None:
        if not self.listing:
            return
        rows, room = self.listing.rows, max(1, self.size.height - 1)
        self._cursor = max(0, min(self._cursor, len(rows) - 1))
        self._top = max(min(self._top, self._cursor, len(rows) - room), self._cursor - room + 1, 0)
        head, lines = self.listing.lines.drawn(self.listing.table, rows[self._top : self._top + room])
        head.stylize("bold underline")
        if not rows:
            lines = [Text(self._empty, "dim", end="")]
        elif self._cursor - self._top < len(lines):
            lines[self._cursor - self._top].stylize(_CURSOR)
        more = f" {self._top + 1}-{self._top + len(lines)} of {self.listing.matches} " if len(rows) > room else ""
        title = head.plain[: self.listing.table.what.width].rstrip()
        if more and len(title) + len(more) <= self.listing.table.what.width:
            head.plain = title + more + head.plain[len(title) + len(more) :]
        self.show([head, *lines])

    def _fit(self) -> None:
        """Its height is what the others leave."""

    def on_resize(self) -> None:
        """Draw as many rows as have room."""
        self._draw()

    def action_move(self, rows: int) -> None:
        """Move the cursor by so many rows."""
        if self.listing and self.listing.rows:
            self._cursor = max(0, min(self._cursor + rows, len(self.listing.rows) - 1))
            self._key = self.listing.table.key(self.listing.rows[self._cursor])
            self._draw()
            self.post_message(self.Moved())

    def action_page(self, pages: int) -> None:
        """Move it by what is in view."""
        self.action_move(pages * max(1, self.size.height - 2))

    def action_open(self) -> None:
        """Choose the row under the cursor."""
        if self.row:
            self.post_message(self.Opened())

    def on_mouse_scroll_down(self) -> None:
        """The wheel moves the cursor."""
        self.action_move(_WHEEL)

    def on_mouse_scroll_up(self) -> None:
        """The wheel moves the cursor."""
        self.action_move(-_WHEEL)

    def on_click(self, event: events.Click) -> None:
        """On a row: put the cursor there; on that of the cursor: choose it. Lines has the click on the head."""
        place = self._top + event.y - 1
        if self.listing and event.y > 0 and place < len(self.listing.rows):
            if place == self._cursor:
                self.action_open()
            else:
                self.action_move(place - self._cursor)


class Body(VerticalScroll, can_focus=True):
    """Lines that are scrolled, without a bar; the arrows, pages, the ends and the wheel are Textual's."""

    DEFAULT_CSS = "Body { scrollbar-size: 0 0; }"
    BINDINGS = [
        Binding("k", "scroll_up", show=False),
        Binding("j", "scroll_down", show=False),
        Binding("ctrl+b", "page_up", show=False),
        Binding("ctrl+f,space", "page_down", show=False),
        Binding("g", "scroll_home", show=False),
        Binding("G", "scroll_end", show=False),
    ]

    def scroll_to(self, *args: Any, **options: Any) -> None:
        """At once: Textual waits for the next picture, and of many keys before it only the last one would count."""
        super().scroll_to(*args, **{**options, "immediate": True})
