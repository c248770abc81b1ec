"""Since when series of the app's own metrics count.

A series that was removed comes back from 0 on. Of a sum that has become less, the start has to be later, too
(opentelemetry.io/docs/specs/otel/metrics/data-model, "Resets and Gaps").
"""

from hvd.core.own.figures import Amounts, Sample

Key = tuple[str, tuple[str, ...]]
"""The name of a metric, and label values."""


class Starts:
    """Of all that was sent to one receiver. One thread at a time uses it. Times are Unix time in ns."""

    def __init__(self) -> None:
        self._last: dict[Key, tuple[float, int]] = {}
        self._before = self._at = 0

    def begin(self, at: int) -> None:
        """Begin a new reading, of that time."""
        self._before, self._at = self._at, at

    def of(self, name: str, sample: Sample) -> int:
        """The start of a counter, a summary or a histogram: when it was created; or when it was read for the last time
        before it began anew.
        """
        value = sample.value.observed if isinstance(sample.value, Amounts) else sample.value
        assert isinstance(value, int | float)
        last, start = self._last.get((name, sample.labels), (value, 0))
        start = max(self._before if value < last else start, round(sample.created * 1e9))
        self._last[name, sample.labels] = value, start
        return start
