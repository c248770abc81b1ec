"""Lines: numbers as prometheus_client writes them, and which lines a series has."""

import math

import pytest
from prometheus_client.utils import floatToGoString

import hvd
from hvd.metrics.instruments.lines import go_string, octave_ends, shows_created


@pytest.mark.parametrize(
    "number", [0, -0.0, 1, 2.5, 1e5, 1234567.0, 1e6, 12345678.5, 1e21, 1e-9, -1e9, math.inf, -math.inf, math.nan]
)
def test_numbers_are_written_as_theirs(number: float) -> None:
    """With an exponent from a million on."""
    assert go_string(number) == floatToGoString(number)


def test_octaves() -> None:
    """Those between the lowest and the highest used are given too."""
    counts = [0] * 514
    assert octave_ends(tuple(counts)) == [514]
    counts[1], counts[17], counts[513] = 1, 1, 1
    assert octave_ends(tuple(counts)) == [9, 17, 25, 514]
    counts[0] = 1
    assert octave_ends(tuple(counts)) == [1, 9, 17, 25, 514]


def test_created_lines_can_be_left_out() -> None:
    """By a function of hvd's as by that of prometheus_client."""
    hvd.disable_created_metrics()
    try:
        assert not shows_created()
    finally:
        hvd.enable_created_metrics()
    assert shows_created()
