"""Numbers in few cells."""

import pytest

from hvd.cli.top.forms import compact, compact_rate, cut_middle, nice_top, padded, share, time_ms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (compact(0), "0"),
        (compact(99_999), "99,999"),
        (compact(100_000), "100k"),
        (compact(8_410_000_000_000), "8.41T"),
        (compact(999_999), "1.00M"),
        (compact_rate(40.54), "40.5"),
        (compact_rate(1234), "1,234"),
        (time_ms(0.123), "0.12ms"),
        (time_ms(45.21), "45.2ms"),
        (time_ms(999.4), "999ms"),
        (time_ms(1000), "1.00s"),
        (time_ms(123_456), "123s"),
        (time_ms(12_345_678), "12,346s"),
        (time_ms(1e12), "1.00Gs"),
        (share(0), "0%"),
        (share(0.0001), "<0.1%"),
        (share(0.004), "0.4%"),
        (share(0.12), "12%"),
        (share(1), "100%"),
    ],
)
def test_numbers_are_short_and_never_cut(text: str, expected: str) -> None:
    """In the unit of their column; ms until 999, then s."""
    assert text == expected


@pytest.mark.parametrize(("highest", "top"), [(0.12, 0.2), (1, 1), (43, 50), (51, 100), (0, 1)])
def test_an_axis_ends_at_a_round_number(highest: float, top: float) -> None:
    """1, 2 or 5 times a power of ten."""
    assert nice_top(highest) == pytest.approx(top)


def test_an_axis_of_bytes_is_round_in_their_units() -> None:
    """1024 of each make one of the next."""
    assert nice_top(300 * 1024**2, 1024.0) == pytest.approx(500 * 1024**2)


def test_names_are_cut_in_the_middle() -> None:
    """By cells, not characters."""
    assert cut_middle("/orders/items", 20, "…") == "/orders/items"
    assert cut_middle("/orders/{id}/items", 11, "…") == "/orde…items"
    assert cut_middle("日本日本日本", 6, "…") == "日 …本"
    assert [cut_middle("abcdef", width, "…") for width in (0, 1, 2)] == ["", "a", "ab"]


def test_cells_are_filled() -> None:
    """At one side, or cut."""
    assert (padded("ab", 4), padded("ab", 4, left=True), padded("abcdef", 4)) == ("  ab", "ab  ", "abcd")
