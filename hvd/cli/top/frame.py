"""What a picture depends on beside the numbers: the terminal, the time, and the characters that it can show."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Glyphs:
    """Characters that the terminal can show."""

    encoding: str = "utf-8"
    bars: str = "▁▂▃▄▅▆▇█"  # from low to high; the lowest is a zero
    rule: str = "─"
    full: str = "█"
    empty: str = "░"
    down: str = "▼"
    up: str = "▲"
    more: str = "…"
    dot: str = "●"
    apart: str = " · "


UNICODE = Glyphs()
ASCII = Glyphs("ascii", "_.:-=+*#", "-", "#", ".", "v", "^", "~", "*", "  ")


@dataclass(frozen=True)
class Frame:
    """Cells, or None as `height` for all lines that there are; times in s, `now` is monotonic.

    While the numbers are those of a pause, `state` is what the badge says now.
    """

    url: str
    width: int
    height: int | None
    now: float
    stale_after: float = 5.0
    glyphs: Glyphs = UNICODE
    paused_for: float | None = None
    state: str = ""
