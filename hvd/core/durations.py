"""Logarithmic buckets of durations.

Twenty-four a decade, from 11 µs to 100 s. The bounds of a decade are 1, 2.5, 5 and geometric steps between them, so
that the bounds which are usual elsewhere are bounds here too, and buckets between them exact unions of these; 0.3 s is
one too, for apdex, and the step below 11 µs, where no response is, was given up for it. The widest bucket spans a
factor of 2^(1/7) = 1.104.
"""

_STEPS = ((1.0, 2.5, 10), (2.5, 5.0, 7), (5.0, 10.0, 7))
_STEPS_WITH_3 = ((1.0, 2.5, 10), (2.5, 3.0, 2), (3.0, 5.0, 6), (5.0, 10.0, 7))


def _bounds() -> tuple[int, ...]:
    bounds = []
    for decade in range(4, 11):  # 10^4 ns to 10^11 ns
        for start, end, steps in _STEPS_WITH_3 if decade == 8 else _STEPS:
            bounds += [round(10**decade * start * (end / start) ** (i / steps)) for i in range(steps)]
    return (*bounds[1:], 10**11)


BOUNDS: tuple[int, ...] = _bounds()
"""Upper bounds in ns, inclusive; a last bucket without bound follows them."""

BUCKETS = len(BOUNDS) + 1

TIMED_CELLS = 2 + BUCKETS
"""Cells of a timed series: how many were counted, the sum of their durations in ns, and buckets of the durations."""
