"""Numbers as Prometheus's formats write them. Source: `utils.floatToGoString` of prometheus_client 0.26.0."""

import math

_EXACT = 2**53
"""Up to here a float has each integer."""


def number(value: float) -> str:
    """A value; with an exponent from a million on, as Go writes it. An integer above 2^53 is written in full."""
    if isinstance(value, int):
        if 0 <= value < 1_000_000:  # nearly all
            return f"{value}.0"
        if value > _EXACT:
            return str(value)
    else:
        if -1_000_000 < value < 1_000_000:  # nearly all
            return repr(value)
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "+Inf" if value > 0 else "-Inf"
    digits = f"{value}.0" if isinstance(value, int) else repr(value)
    dot = digits.find(".")
    if value > 0 and dot > 6:
        mantissa = f"{digits[0]}.{digits[1:dot]}{digits[dot + 1 :]}".rstrip("0.")
        return f"{mantissa}e+{dot - 1:02d}"
    return digits
