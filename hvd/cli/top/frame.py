"""What a picture depends on beside the numbers: the terminal, the time, and the characters that it can show. Pure."""

from dataclasses import dataclass

from hvd.texts import plain


@dataclass(frozen=True)
class Glyphs:
    """Characters that the terminal can show."""

    encoding: str = "utf-8"
    bars: str = "▁▂▃▄▅▆▇█"  # from low to high; the lowest is a zero
    rule: str = "─"
    wall: str = "│"
    corner: str = "└"
    full: str = "█"
    empty: str = "░"
    down: str = "▼"
    up: str = "▲"
    more: str = "…"
    dot: str = "●"
    apart: str = " · "

    def said(self, value: object, most: int = 400) -> str:
        """So much of what a daemon sent, made harmless; a sentence of its own stays legible in ASCII."""
        text = str(value) if value else ""
        if self.encoding == "ascii":
            for sign, letters in _IN_ASCII.items():
                text = text.replace(sign, letters)
        return plain(text, self.encoding, most)


_IN_ASCII = {"→": "->", "\u2013": "-", "\u2014": "-", "…": "...", "\u00d7": "x", "≥": ">=", "\u00a0": " "}

UNICODE = Glyphs()
ASCII = Glyphs("ascii", "_.:-=+*#", "-", "|", "+", "#", ".", "v", "^", "~", "*", "  ")


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
