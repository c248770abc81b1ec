"""Values as short texts."""

import pytest

from hvd.cli.top.figures import brief, count, errors, latency, memory, number, percent, rate, shown


@pytest.mark.parametrize("value", [None, "7", True, float("nan"), float("inf"), -1, 1e30, [], {}])
def test_what_is_no_measurement_shows_as_unknown(value: object) -> None:
    """A daemon of another version may send anything."""
    assert number(value) is None
    assert shown(value, count) == "-"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (count(1250), "1,250"),
        (percent(0.44), "0.4%"),
        (rate(12.34), "12.3"),
        (rate(1234.5), "1,234"),
        (latency(45.2), "45.2ms"),
        (latency(12_340), "12.3s"),
        (brief(93_784), "1d 2h"),
        (memory(50_000_000), "47.7 MB"),
        (memory(500_000_000), "476 MB"),
    ],
)
def test_values_are_formatted_for_people(text: str, expected: str) -> None:
    """As the panel of `hvd status` does."""
    assert text == expected


def test_errors_come_with_their_share() -> None:
    """0 percent where there was no request."""
    assert errors({"all": 1250, "bad": 5}, "all", "bad") == "5 (0.4%)"
    assert errors({"all": 0, "bad": 0}, "all", "bad") == "0 (0.0%)"
    assert errors({"bad": 5}, "all", "bad") == "5"
    assert errors({}, "all", "bad") == "-"
