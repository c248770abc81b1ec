"""Words for those who count: for processes that count without a block, too, so this imports nothing."""

NO_ERROR, CLIENT_ERROR, SERVER_ERROR = 0, 1, 2
"""Whose error a response is."""

OVERFLOW = "overflow"
"""The value of every label of a family's overflow series, which counts past the limit of series."""

RETRY = 1.0  # s from one attempt that failed to the next: labels without a series may be counted very often
