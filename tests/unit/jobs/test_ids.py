"""Ids of jobs: RFC 9562's layout, sorted by time, unique among threads."""

import itertools
import sys
import uuid

import pytest

from hvd.jobs import ids
from tests.support.jobs import together

MS = 1_000_000


def clock(monkeypatch: pytest.MonkeyPatch, *times_ns: int) -> None:
    """These readings, one after the other, the last one again and again; no id has been made yet."""
    readings = itertools.chain(times_ns, itertools.repeat(times_ns[-1]))
    monkeypatch.setattr(ids.time, "time_ns", lambda: next(readings))
    monkeypatch.setattr(ids, "_last", 0)


def fields(text: str) -> tuple[int, int]:
    """Milliseconds, and the fraction of one in 4096ths."""
    number = uuid.UUID(text).int
    return number >> 80, number >> 64 & 0xFFF


def test_an_id_has_the_layout_of_version_7() -> None:
    """Version, variant, and lower-case text as databases compare it."""
    for _ in range(100):
        made = ids.new_id()
        assert (uuid.UUID(made).version, uuid.UUID(made).variant) == (7, uuid.RFC_4122)
        assert made == str(uuid.UUID(made))
        assert ids.is_id(made)


def test_an_id_begins_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of RFC 9562, appendix A.6, and three quarters of a millisecond."""
    clock(monkeypatch, 1_645_557_742_000 * MS + 750_000)
    assert ids.new_id().startswith("017f22e2-79b0-7c00-")
    assert fields(ids.new_id()) == (1_645_557_742_000, 0xC01)


def test_an_id_is_of_one_reading_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Milliseconds and fraction of two readings, at the turn of a millisecond, would be a time that never was."""
    clock(monkeypatch, 5000 * MS - 1, 5000 * MS)
    assert fields(ids.new_id()) == (4999, 4095)


def test_ids_rise_though_the_clock_stands_still_or_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """By one each, on into the next millisecond; once the clock has caught up, it counts again."""
    clock(monkeypatch, 5000 * MS, *[4000 * MS] * 5000, 9000 * MS)
    made = [ids.new_id() for _ in range(5001)]
    assert made == sorted(set(made))
    assert fields(made[5000]) == (5001, 5000 - 4096)
    assert fields(ids.new_id()) == (9000, 0)


def test_ids_of_threads_are_all_different_and_rise_in_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight threads at once, switched as often as can be, while the clock stands still."""
    clock(monkeypatch, 5000 * MS)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        made = together([lambda: [ids.new_id() for _ in range(6000)]] * 8)
    finally:
        sys.setswitchinterval(interval)
    assert all(own == sorted(own) for own in made)
    stamps = {fields(one) for own in made for one in own}
    assert len(stamps) == 48_000, "unique before any random bit"


def test_ids_of_one_moment_in_two_processes_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """By 62 random bits."""
    found = set()
    for _ in range(1000):
        clock(monkeypatch, 5000 * MS)
        found.add(ids.new_id())
    assert len(found) == 1000
    assert len({one[:18] for one in found}) == 1
    spread = [uuid.UUID(one).int & (1 << 62) - 1 for one in found]
    assert max(spread) > 1 << 61 > min(spread)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("019ab6b1-0000-7000-8000-000000000001", True),
        ("019AB6B1-0000-7000-8000-000000000001", False),
        ("019ab6b1000070008000000000000001", False),
        ("{019ab6b1-0000-7000-8000-000000000001}", False),
        ("urn:uuid:019ab6b1-0000-7000-8000-000000000001", False),
        ("019ab6b1-0000-7000-8000-000000000001\n", False),
        ("019ab6b1-0000-7000-8000-00000000000", False),
        ("../../etc/passwd", False),
        ("", False),
        ("\0", False),
    ],
)
def test_only_the_very_form_is_an_id(text: str, is_one: bool) -> None:
    """Nothing that merely means the same: it is compared as text."""
    assert ids.is_id(text) is is_one
