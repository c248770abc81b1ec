"""What a job prints: the last lines of it, and how far it says that it is. Pure."""

import re
from collections import deque

LINES, LINE_CHARACTERS = 20, 500
"""What is kept: enough for the error at the end, and bounded whatever a job prints."""

LOOKED_AT = 16 * 1024  # bytes of a piece that is read, from its end: a flood isn't worth more
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Output:
    """Fed with what a job prints; `tail()` is what a terminal would show last, `percent` the progress told last.

    A line that ends in a carriage return is overwritten by the next, as `qemu-img -p` and others do.
    """

    def __init__(self, progress: str | None) -> None:
        self.percent = 0.0
        self._pattern = re.compile(progress) if progress else None
        self._group = "percent" if self._pattern and "percent" in self._pattern.groupindex else 1
        self._lines: deque[str] = deque(maxlen=LINES)
        self._partial = b""

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        *lines, self._partial = (self._partial + data)[-LOOKED_AT:].split(b"\n")
        last = lines[-LINES:]
        self._lines.extend(map(_shown, last))
        if self._pattern:
            self._look_for_progress(self._pattern, [*last, self._partial])

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
        """The last lines, without control characters."""
        last = _shown(self._partial)
        return "\n".join([*self._lines, last][-LINES:] if last else self._lines)


def _shown(line: bytes) -> str:
    pieces = [piece for piece in line.split(b"\r") if piece]
    text = pieces[-1].decode("utf-8", "replace") if pieces else ""
    return _CONTROL.sub("\ufffd", text[-LINE_CHARACTERS:])
