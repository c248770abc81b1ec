"""Numbers in the few cells of a terminal: each in the unit of its column. Pure."""

import math

from rich.cells import cell_len, set_cell_size

_SHORT = 100_000  # from which on a count is cut to three digits
_SCALES = ("", "k", "M", "G", "T", "P", "E")


def compact(amount: float) -> str:
    """A count: `1,250`, from 100,000 on `8.41T`."""
    if amount < _SHORT:
        return f"{amount:,.0f}"
    power = 0
    while amount >= 999.5 and power < len(_SCALES) - 1:
        amount /= 1000
        power += 1
    return f"{_three_digits(amount)}{_SCALES[power]}"


def _three_digits(amount: float) -> str:
    return f"{amount:.2f}" if amount < 9.995 else f"{amount:.1f}" if amount < 99.95 else f"{amount:.0f}"


def compact_rate(amount: float) -> str:
    """A number a second: a decimal where it tells something."""
    return f"{amount:.1f}" if amount < 999.95 else compact(amount)


def time_ms(amount: float) -> str:
    """A time in ms: `0.45ms`, `45.2ms`, from 1,000 ms on `1.21s`, from 100,000 s on `1.21Ms`."""
    if amount < 999.5:
        return f"{amount:.2f}ms" if amount < 0.995 else f"{amount:.1f}ms" if amount < 99.95 else f"{amount:.0f}ms"
    seconds = amount / 1000
    return f"{compact(seconds) if seconds >= 999.5 else _three_digits(seconds)}s"


def share(ratio: float) -> str:
    """A part of 1 in percent: `0%`, `0.4%`, `12%`; one that isn't zero never looks so."""
    percent = 100 * ratio
    if 0 < percent < 0.05:
        return "<0.1%"
    return f"{percent:.1f}%".replace(".0%", "%") if percent < 9.95 else f"{percent:.0f}%"


def nice_top(highest: float, base: float = 1000.0) -> float:
    """The end of an axis at or above that: 1, 2 or 5 times a power of ten, in units of a power of `base`."""
    unit = base ** max(0, math.floor(math.log(highest, base))) if highest > 0 else 1.0
    power = 10.0 ** math.floor(math.log10(highest / unit)) if highest > 0 else 1.0
    return next(step * power * unit for step in (1, 2, 5, 10) if step * power * unit >= highest * 0.999999)


def cut_middle(text: str, width: int, more: str) -> str:
    """The text in at most so many cells: of a longer one beginning and end, with a mark between them."""
    if cell_len(text) <= width:
        return text
    if width < 3:
        return set_cell_size(text, max(0, width)).rstrip()
    end = (width - 1) // 2
    tail = text[-end:]
    while cell_len(tail) > end:
        tail = tail[1:]
    return set_cell_size(text, width - 1 - cell_len(tail)) + more + tail


def padded(text: str, width: int, *, left: bool = False) -> str:
    """The text in exactly so many cells: at their right, or at their left."""
    if cell_len(text) > width:
        return set_cell_size(text, width)
    room = " " * (width - cell_len(text))
    return text + room if left else room + text
