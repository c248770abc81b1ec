"""What happens at the limit of series: for processes that count without a block, too, so this imports nothing."""

OVERFLOW = "overflow"
"""The value of every label of a family's overflow series."""

RETRY = 1.0  # s from one attempt that failed to the next: labels without a series may be counted very often
