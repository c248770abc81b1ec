"""A table of any height and width, with columns that are left out where they have no room. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from hvd.cli.answers import Json
from hvd.cli.top.frame import UNICODE, Glyphs


@dataclass(frozen=True)
class ListColumn:
    """Numbers under a head. `width` is enough for nearly all of them.

    Where room is short, `spare` columns are left out first, then the last of the others. `alarming` is true of a row
    whose value wants attention.
    """

    head: str
    width: int
    form: Callable[[Json, Glyphs], str]
    order: str = ""
    left: bool = False
    spare: bool = False
    alarming: Callable[[Json], bool] = lambda row: False


@dataclass(frozen=True)
class Order:
    """A way to sort; numbers from the greatest on, texts from A."""

    name: str
    key: Callable[[Json], Any]
    descends: bool = True


@dataclass(frozen=True)
class Table:
    """One list. `text` makes the first column, which says what a row is and gets the room that the others leave."""

    name: str
    text: Callable[[Json, Glyphs], str]
    columns: tuple[ListColumn, ...]
    orders: tuple[Order, ...]
    text_order: str
    text_width: int
    style: Callable[[Json], str] = lambda row: ""

    def sort(self, rows: Sequence[Json], order: int, turned: bool) -> list[Json]:
        """The rows in that order; those that are equal stay in the first order's."""
        chosen, base = self.orders[order], self.orders[-1]
        rows = sorted(rows, key=base.key, reverse=base.descends)
        return sorted(rows, key=chosen.key, reverse=chosen.descends != turned)


@dataclass(frozen=True)
class Shape:
    """How a table is to be drawn: cells, lines with the head (None for all), and what the user has chosen."""

    width: int
    height: int | None
    glyphs: Glyphs = UNICODE
    focused: bool = False
    order: int = 0
    turned: bool = False
    scrolled: int = 0


def table_lines(table: Table, titles: Sequence[str], rows: Sequence[Json], shape: Shape) -> list[Text]:
    """The head, with the first title that fits above the first column, and as many rows as find room.

    The head says which rows these are, if not all. No number is cut: a column that doesn't fit is left out.
    """
    rows = table.sort(rows, shape.order, shape.turned)
    room = len(rows) if shape.height is None else max(0, shape.height - 1)
    start = last_start(len(rows), room, shape.scrolled)
    visible = rows[start : start + room]
    cells = [[column.form(row, shape.glyphs) for column in table.columns] for row in visible]
    places, widths = _fitting(table, cells, shape.width)
    text_width = shape.width - sum(widths[place] + 2 for place in places)
    part = f" {start + 1}-{start + len(visible)}/{len(rows)}" if 0 < len(visible) < len(rows) else ""
    arrow = _arrow(table, shape) if table.orders[shape.order].name == table.text_order else ""
    fitting = (f"{title}{part}{arrow}" for title in titles if cell_len(title + part + arrow) <= text_width)
    title = _cut(next(fitting, titles[-1]), text_width, shape.glyphs)
    lines = [_head(table, title, [(table.columns[place], widths[place]) for place in places], shape)]
    for row, row_cells in zip(visible, cells, strict=True):
        line = Text(_cut(table.text(row, shape.glyphs), text_width, shape.glyphs))
        for place in places:
            column = table.columns[place]
            style = "yellow" if column.alarming(row) else table.style(row)
            line.append("  ").append(_aligned(column, row_cells[place], widths[place]), style)
        lines.append(line)
    return lines


def last_start(rows: int, room: int, scrolled: int) -> int:
    """The first row shown: as scrolled, but no further than where the last row is at the bottom."""
    return max(0, min(scrolled, rows - room))


def _fitting(table: Table, cells: Sequence[Sequence[str]], width: int) -> tuple[list[int], list[int]]:
    """The places of the columns that have room beside the first one, and how wide each is."""
    widths = [
        max([column.width, *(cell_len(row[place]) for row in cells)]) for place, column in enumerate(table.columns)
    ]
    chosen: list[int] = []
    left = width - table.text_width
    for place in sorted(range(len(widths)), key=lambda place: table.columns[place].spare):
        if widths[place] + 2 > left:
            break
        left -= widths[place] + 2
        chosen.append(place)
    return sorted(chosen), widths


def _head(table: Table, title: str, columns: Sequence[tuple[ListColumn, int]], shape: Shape) -> Text:
    order, arrow = table.orders[shape.order], _arrow(table, shape)
    line = Text(title, "bold")
    for column, width in columns:
        head = column.head + arrow if column.order == order.name else column.head
        line.append("  ").append(_aligned(column, head, width))
    line.stylize("reverse" if shape.focused else "underline")
    return line


def _arrow(table: Table, shape: Shape) -> str:
    return shape.glyphs.down if table.orders[shape.order].descends != shape.turned else shape.glyphs.up


def _aligned(column: ListColumn, cell: str, width: int) -> str:
    room = " " * (width - cell_len(cell))
    return cell + room if column.left else room + cell


def _cut(text: str, width: int, glyphs: Glyphs) -> str:
    """The text in exactly so many cells, with a mark where it was too long."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + glyphs.more if width > 0 else ""
