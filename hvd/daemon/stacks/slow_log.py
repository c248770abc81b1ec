"""The log's lines of slow requests: some a minute, and then how many more there were.

In an hour in which every request is slow, these lines must not crowd out the rest of the log.
"""

import logging
from collections import Counter

from hvd.texts import escaped

MINUTE = 60.0  # s
LINES = 20  # a minute
LINES_OF_PLACE = 5  # a minute, of requests that stand at the same place, so that another place is not left out


class SlowLog:
    """One master's. Used in its main thread. `now` is monotonic, in s."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._ends = 0.0
        self._logged: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()

    def add(self, pid: int, text: str, age: float, place: str) -> None:
        """Log that a request of that worker is slow, at `place`, which may say instead why the place is unknown."""
        if self._logged.total() >= LINES or self._logged[place] >= LINES_OF_PLACE:
            self._left_out[place] += 1
            return
        self._logged[place] += 1
        what = f"{text} takes {age:.1f} s by now{place and f', {place}'}"
        self._log.info("hvd: worker (pid:%d): %s", pid, escaped(what, "ascii"))

    def end_minute(self, now: float) -> None:
        """Once a minute is over, log how many were left out, and begin anew. To be called from time to time."""
        if now < self._ends:
            return
        if self._left_out:
            number, (place, most) = self._left_out.total(), self._left_out.most_common(1)[0]
            where = escaped(place or "no place known", "ascii")
            self._log.info("hvd: %d more requests were slow in the last minute, %d of them: %s", number, most, where)
        self._ends = now + MINUTE
        self._logged.clear()
        self._left_out.clear()
