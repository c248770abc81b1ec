"""Buckets of amounts, as of bytes: each ends at a power of two, from 1 to 2^40, and belongs to it; one more is above.

A series of n amounts is one run of cells: how often it was measured, then for each amount the sum and its buckets.
"""

POWERS = 40  # a tebibyte: more goes into the last bucket

BUCKETS = POWERS + 2

AMOUNT_CELLS = 1 + BUCKETS
"""Cells of one amount: the sum, and the buckets."""

UNKNOWN = -1
"""An amount that is not known: it counts in no bucket."""


def bucket_of(amount: int) -> int:
    """The bucket of an amount from 0 on."""
    return min((amount - 1).bit_length(), POWERS + 1) if amount > 1 else 0


def measured_cells(amounts: int) -> int:
    """Cells of a series of so many amounts."""
    return 1 + amounts * AMOUNT_CELLS
