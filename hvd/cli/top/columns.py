"""Rows of a list as lines with aligned columns, which are left out where they have no room. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from hvd.cli.answers import Json
from hvd.cli.top.forms import cut_middle, padded
from hvd.cli.top.frame import UNICODE, Glyphs


def _no_style(row: Json) -> str:
    return ""


@dataclass(frozen=True)
class Column:
    """A figure of each row. `width` is enough for nearly all of them. `key` is what rows are sorted by: the greatest
    first, or the least where it doesn't descend. A `spare` column is left out before the others.
    """

    name: str
    head: str
    width: int
    form: Callable[[Json, Glyphs], str]
    key: Callable[[Json], Any]
    descends: bool = True
    left: bool = False
    spare: bool = False
    style: Callable[[Json], str] = _no_style


@dataclass(frozen=True)
class Table:
    """One list. `what` says what a row is, and gets the room that the others leave; `key` names a row for ever."""

    name: str
    what: Column
    columns: tuple[Column, ...]
    order: str
    key: Callable[[Json], str]
    searched: Callable[[Json], str]

    @property
    def orders(self) -> tuple[str, ...]:
        """The names of what it can be sorted by, from left to right."""
        return (self.what.name, *(column.name for column in self.columns))

    def sort(self, rows: Sequence[Json], order: str = "", turned: bool = False) -> list[Json]:
        """The rows in that order, or the first one; those that are equal by what they are."""
        columns = {column.name: column for column in (self.what, *self.columns)}
        column = columns.get(order) or columns[self.order]
        rows = sorted(rows, key=self.what.key)
        return sorted(rows, key=column.key, reverse=column.descends != turned)

    def search(self, rows: Sequence[Json], words: str) -> list[Json]:
        """The rows that have all the words."""
        parts = words.lower().split()
        return [row for row in rows if all(part in self.searched(row).lower() for part in parts)] if parts else [*rows]


@dataclass(frozen=True)
class Lines:
    """How a list is drawn: cells, signs, and by what it is sorted."""

    width: int
    glyphs: Glyphs = UNICODE
    order: str = ""
    turned: bool = False

    def drawn(self, table: Table, rows: Sequence[Json]) -> tuple[Text, list[Text]]:
        """The head, and a line for each row. No number is cut: a column that doesn't fit is left out."""
        cells = [[column.form(row, self.glyphs) for column in table.columns] for row in rows]
        places, widths = self._fitting(table, cells)
        room = self.width - sum(widths[place] + 2 for place in places)
        head = self._head_cell(table, table.what, room)
        for place in places:
            head.append("  ").append_text(self._head_cell(table, table.columns[place], widths[place]))
        lines = []
        for row, texts in zip(rows, cells, strict=True):
            what = cut_middle(table.what.form(row, self.glyphs), room, self.glyphs.more)
            line = Text(padded(what, room, left=True), table.what.style(row), end="")
            for place in places:
                column = table.columns[place]
                line.append("  ").append(padded(texts[place], widths[place], left=column.left), column.style(row))
            lines.append(line)
        return head, lines

    def _head_cell(self, table: Table, column: Column, width: int) -> Text:
        head = column.head
        if column.name == (self.order or table.order):
            head += self.glyphs.down if column.descends != self.turned else self.glyphs.up
        is_left = column.left or column is table.what
        return Text("", end="").append(padded(head, width, left=is_left), Style(meta={"order": column.name}))

    def _fitting(self, table: Table, cells: Sequence[Sequence[str]]) -> tuple[list[int], list[int]]:
        """The places of the columns that have room beside the first one, and how wide each is."""
        widths = [
            max([column.width, len(column.head) + 1, *(cell_len(row[place]) for row in cells)])
            for place, column in enumerate(table.columns)
        ]
        chosen: list[int] = []
        left = self.width - table.what.width
        order = self.order or table.order
        ranks = [(column.name != order, column.spare) for column in table.columns]
        for place in sorted(range(len(widths)), key=ranks.__getitem__):
            if widths[place] + 2 > left:
                break
            left -= widths[place] + 2
            chosen.append(place)
        return sorted(chosen), widths
