"""What a job prints: the last lines of it, and how far it says that it is. Pure."""

import re

LINES, LINE_CHARACTERS = 20, 500
"""What is kept: enough for the error at the end, and bounded whatever a job prints."""

LOOKED_AT = (
    16 * 1024
)  # bytes of a piece, from its end, in which progress is looked for: more would cost too much in a flood
TAIL = 48 * 1024  # bytes that hold the last lines, of characters of four bytes too
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What moves the cursor, or turns the direction of what follows."""


class Output:
    """Fed with what a job prints: `tail()` is what a terminal would show last, `percent` the progress said last.

    One thread feeds it, any may read.

    A line that ends in a carriage return is overwritten by the next, as `qemu-img -p` and others do.
    """

    def __init__(self, progress: str | None) -> None:
        self.percent = 0.0
        self._pattern = re.compile(progress) if progress else None
        self._group = "percent" if self._pattern and "percent" in self._pattern.groupindex else 1
        self._last = self._partial = b""

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        self._last = (self._last + data)[-TAIL:]
        if self._pattern:
            *lines, self._partial = (self._partial + data)[-LOOKED_AT:].split(b"\n")
            self._look_for_progress(self._pattern, [*lines[-LINES:], self._partial])

    def _look_for_progress(self, pattern: re.Pattern[str], lines: list[bytes]) -> None:
        """The newest that there is: in a line, what follows the last carriage return overwrites what is before."""
        for line in reversed(lines):
            for piece in reversed(line.split(b"\r")[-LINES:]):
                match = pattern.search(piece[-LINE_CHARACTERS:].decode("utf-8", "replace"))
                if match:
                    self._note(match[self._group])
                    return

    def _note(self, percent: str | None) -> None:
        try:
            value = float(percent or "")
        except ValueError:
            return
        if 0 <= value <= 100:
            self.percent = max(self.percent, round(value, 2))

    def tail(self) -> str:
        """See last_lines."""
        return last_lines(self._last)


def last_lines(data: bytes, most: int = LINES) -> str:
    """The last lines of what was printed, at most so many, cut to their ends, without control characters."""
    *lines, partial = data.split(b"\n")
    texts, last = [_visible(line) for line in lines[-most:]], _visible(partial)
    return "\n".join([*texts, last][-most:] if last else texts)


def _visible(line: bytes) -> str:
    pieces = [piece for piece in line.split(b"\r") if piece]
    text = pieces[-1].decode("utf-8", "replace") if pieces else ""
    return _CONTROL.sub("\ufffd", text[-LINE_CHARACTERS:])
