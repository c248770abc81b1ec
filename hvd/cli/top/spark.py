"""Numbers over time as rows of characters. Pure."""

import math
from collections.abc import Sequence

BARS, ASCII_BARS = "▁▂▃▄▅▆▇█", "_.:-=+*#"
"""A bar from low to high; the lowest is a zero, a blank is a time without numbers."""

_CARRIED = 2.5  # intervals for which a point counts: ticks are not exact, and a bin may fall between two of them

Point = tuple[float, float | None]


def binned(points: Sequence[Point], end: float, step: float, bins: int, interval: float) -> list[float | None]:
    """The highest value in each of so many bins of `step` seconds, the last of which holds the time `end`.

    Bins begin at whole multiples of `step`, so a peak keeps its height while it moves to the left.
    """
    highest: list[float | None] = [None] * bins
    first = math.floor(end / step) - bins + 1
    # without points the second is the longer one: nothing is looked at then
    reach = max(step, _CARRIED * interval)
    for (time, value), (following, _) in zip(points, [*points[1:], (end, None)], strict=False):
        if value is None:
            continue
        place = math.floor(time / step) - first
        last = math.floor(following / step) - first if following - time <= reach else place
        for number in range(max(place, 0), min(max(last, place + 1), bins)):
            highest[number] = value if number > place else max(value, highest[number] or 0.0)
    return highest


def sparkline(values: Sequence[float | None], top: float, rows: int = 1, bars: str = BARS) -> list[str]:
    """The values as `rows` lines of bars, uppermost first; a bar of full height is `top`."""
    heights = [_height(value, top, 8 * rows) for value in values]
    return [
        "".join(bars[min(height - base, 8) - 1] if height > base else " " for height in heights)
        for base in range(8 * (rows - 1), -1, -8)
    ]


def _height(value: float | None, top: float, steps: int) -> int:
    """From 1, for zero, to `steps`; 0 where nothing is known."""
    if value is None:
        return 0
    if value <= 0 or top <= 0:
        return 1
    return 1 + max(1, min(steps - 1, math.ceil(value / top * (steps - 1))))
