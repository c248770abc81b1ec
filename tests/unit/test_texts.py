"""Texts for people: numbers with units, and what comes from elsewhere."""

from pathlib import Path
from typing import Any

import pytest

from hvd import texts

HOSTILE = "\x1b[2J\r\nx\u202e\ud800ü"


@pytest.mark.parametrize("value", [None, "7", True, float("nan"), float("inf"), -1, 1e30, 10**400, [], {}])
def test_what_is_no_measurement_is_unknown(value: object) -> None:
    """A daemon of another version may send anything."""
    assert texts.number(value) is None
    assert texts.figure(value, texts.count) == "-"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (texts.count(1250), "1,250"),
        (texts.percent(0.44), "0.4%"),
        (texts.whole_percent(99.6), "100%"),
        (texts.rate(12.34), "12.3"),
        (texts.rate(1234.5), "1,234"),
        *((texts.milliseconds(ms), text) for ms, text in ((0, "0.000ms"), (0.35, "0.350ms"), (45.24, "45.2ms"))),
        *((texts.milliseconds(ms), text) for ms, text in ((999, "999.0ms"), (1146.1, "1.15s"), (9999, "10.0s"))),
        *((texts.duration(s), text) for s, text in ((0, "0s"), (59.9, "59s"), (60, "1m 0s"), (3599, "59m 59s"))),
        *((texts.duration(s), text) for s, text in ((3600, "1h 0m 0s"), (93_784, "1d 2h 3m 4s"))),
        (texts.duration(-5), "0s"),
        (texts.short_duration(93_784), "1d 2h"),
        *((texts.exact_duration(s), text) for s, text in ((0, "0.000s"), (59.9994, "59.999s"), (61, "1m 1s"))),
        *((texts.size(amount), text) for amount, text in ((0, "0 B"), (1023, "1,023 B"), (1024, "1 KB"))),
        *((texts.size(amount), text) for amount, text in ((1.5 * 1024**3, "1.5 GB"), (5000 * 1024**4, "5,000 TB"))),
        (texts.short_size(50_000_000), "47.7 MB"),
        (texts.short_size(500_000_000), "476 MB"),
        (texts.rfc3339(1_769_200_200_999_999_999), "2026-01-23T20:30:00Z"),
        (texts.rfc3339_milliseconds(1_769_200_200.0625), "2026-01-23T20:30:00.062Z"),
        (texts.rfc3339_milliseconds(None), None),  # as a job's, before it starts
        *((texts.errors(5, 1250), "5 (0.4%)"), (texts.errors(0, 0), "0 (0.0%)")),
        *((texts.errors(1234, None), "1,234"), (texts.errors(None, 1), "-")),  # no share of an unknown number
    ],
)
def test_values_are_formatted_for_people(text: str | None, expected: str | None) -> None:
    """With thousands, units and as many digits as tell something."""
    assert text == expected


def test_escapes() -> None:
    """Control, direction and half characters are escapes; letters stay, where the encoding has them."""
    assert texts.escaped("\x9b\x7f\tü\u202e\u2066", "ascii", "\t") == r"\x9b\x7f" + "\t" + r"\xfc\u202e\u2066"
    assert texts.plain(HOSTILE) == "\\x1b[2J\\r\\nx\\u202e\\ud800ü"
    assert texts.plain(HOSTILE, "ascii") == "\\x1b[2J\\r\\nx\\u202e\\ud800\\xfc"


def test_a_plain_text_is_bounded() -> None:
    """Nothing is a dash."""
    assert texts.plain("x" * 10_000) == "x" * 397 + "..."
    assert texts.clipped(r"\xe9" * 50, 40) == r"\xe9" * 9 + r"\..."
    assert [texts.plain(value) for value in (None, "", 0, False)] == ["-", "-", "0", "False"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("postgresql://hvd:s@cr/et@db/hvd?password=s&x=1", '"postgresql://hvd:***@db/hvd?password=***&x=1"'),
        ("a\x1b\n", '"a\\u001b\\n"'),
        (Path("/srv"), '"/srv"'),
        (["a", True, 2.5, None], '["a", true, 2.5, None]'),
        ([{}, 1], "[a table, 1]"),
    ],
)
def test_a_value_is_shown_as_toml_has_it_without_passwords(value: Any, text: str) -> None:
    """Control characters can't reach a terminal."""
    assert texts.as_toml(value) == text


def test_what_cannot_be_written_out_is_described() -> None:
    """A table may be as deep as it likes, a number have more digits than Python converts."""
    assert texts.as_toml(1 << 40_000) == "a number of 40001 bits"
    deep: dict[str, object] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert texts.as_toml(deep) == "a table"


@pytest.mark.parametrize(
    ("name", "names", "meant"),
    [
        ("Wrkers", ["workers", "slots"], "; did you mean workers?"),
        ("HVD_SLOT", ["HVD_WORKERS", "HVD_SLOTS"], "; did you mean HVD_SLOTS?"),
        ("foo", ["workers", "slots"], ""),
    ],
)
def test_the_nearest_name_is_asked_for_if_there_is_one(name: str, names: list[str], meant: str) -> None:
    """Case doesn't matter; what is not to count is left out of what is compared."""
    assert texts.suggestion(name, names, lambda name: name.removeprefix("HVD_")) == meant


def test_the_steps_to_a_value_are_written_as_a_key() -> None:
    """Quoted where TOML needs it, and without control characters."""
    assert texts.toml_key(("jobs", "kinds", "a-b_1", "command", 0)) == "jobs.kinds.a-b_1.command[0]"
    assert texts.toml_key(("jobs", "a b", "\x1b", "")) == 'jobs."a b"."\\u001b".""'


def test_a_complaint_quotes_200_characters_at_most() -> None:
    """And no part of a password: that is taken out before the rest is cut."""
    assert texts.cut("x" * 200) == "x" * 200
    assert texts.cut("x" * 201) == "x" * 200 + "… (201 characters)"
    assert texts.quoted("y" * 100_000) == '"' + "y" * 199 + "… (100002 characters)"
    assert "geheim" not in texts.quoted("postgresql://hvd:" + "geheim" * 100 + "@db/hvd")
    assert len(texts.toml_key(["k" * 5000, "l" * 5000])) < 500
