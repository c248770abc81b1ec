"""What changed: told where it is no chance and large enough, worst first, in a sentence."""

import itertools
import random

import pytest

from hvd.metrics.spans import SpanRecord, Sums
from hvd.read.changes import MOST, Change, find_changes, poisson_z, proportions_z, rate_text, share_text, time_text
from tests.unit.spans import MS, answered, span


def fast(number: int) -> tuple[str, Sums]:
    return "200", answered([5 * MS] * number)


def of(before: SpanRecord, now: SpanRecord, route: str = "/pay") -> dict[str, Change]:
    """The changes of a route by what they are of."""
    return {change["what"]: change for change in find_changes(now, before) if change["route"] == route}


def test_a_route_that_begins_to_fail_comes_first() -> None:
    """By how many requests failed; the service as a whole before it."""
    before = span(60, ("/pay", "200", answered([MS] * 2000)), ("/slow", "200", answered([MS] * 900)))
    now = span(
        60,
        ("/pay", "200", answered([MS] * 1760)),
        ("/pay", "503", answered([MS] * 240)),
        ("/slow", "200", answered([1500 * MS] * 900)),
        ("/other", "503", answered([MS] * 20)),
    )
    changes = find_changes(now, before)
    assert [(change["what"], change["route"]) for change in changes[:3]] == [
        ("server_error_rate", ""),
        ("server_error_rate", "/pay"),
        ("server_error_rate", "/other"),
    ]
    assert changes[1] == {
        "what": "server_error_rate",
        "route": "/pay",
        "before": 0.0,
        "now": 0.12,
        "weight": 240,
        "is_bad": True,
        "text": "/pay: 5xx 0 % → 12 % (240 of 2,000)",
    }
    assert changes[2]["before"] is None
    slow = of(before, now, "/slow")["p99_ms"]
    assert slow["text"] == "/slow: p99 1.0 ms → 1.51 s (of 900)", "a percentile is within 5 %"
    assert slow["weight"] == pytest.approx(900 * 1.499, rel=0.01)
    assert slow["is_bad"]


def test_what_is_over_is_good_news_and_comes_last() -> None:
    """After what got worse, whatever it is of."""
    failing = span(60, ("/pay", "503", answered([MS] * 500)), ("/a", "200", answered([MS] * 1000)))
    well = span(60, ("/pay", "200", answered([MS] * 500)), ("/a", "404", answered([MS] * 1000)))
    changes = find_changes(well, failing)
    assert [change["is_bad"] for change in changes] == sorted((change["is_bad"] for change in changes), reverse=True)
    assert {(change["what"], change["route"], change["is_bad"]) for change in changes} == {
        ("client_error_rate", "", True),
        ("client_error_rate", "/a", True),
        ("server_error_rate", "", False),
        ("server_error_rate", "/pay", False),
    }


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ((0, 1000), (1, 3)),  # too few to be a share
        ((0, 3), (3, 3)),
        ((0, 1000), (4, 1000)),
        ((20, 1000), (35, 1000)),  # chance
        ((500, 1000), (520, 1000)),
        ((0, 0), (4, 200)),
    ],
)
def test_chance_is_no_change(then: tuple[int, int], now: tuple[int, int]) -> None:
    """Failed and all, then and now."""
    before, after = (
        span(60, ("/pay", "500", answered([MS] * failed)), ("/pay", "200", answered([MS] * (total - failed))))
        for failed, total in (then, now)
    )
    assert "server_error_rate" not in of(before, after)


def test_steady_traffic_changes_nothing() -> None:
    """Of 70 routes with random traffic of one kind, minute after minute."""
    order = random.Random(11)
    kinds = [
        (f"/{n}", order.uniform(0.2, 40), order.choice((0.0, 0.01, 0.2)), order.uniform(1, 400)) for n in range(70)
    ]

    def minute() -> SpanRecord:
        series = []
        for route, rate, share, ms in kinds:
            number = round(order.gauss(rate * 60, (rate * 60) ** 0.5))
            failed = sum(order.random() < share for _ in range(number))
            durations = [round(ms * MS * order.lognormvariate(0, 0.5)) for _ in range(max(0, number))]
            series += [(route, "500", answered(durations[:failed])), (route, "200", answered(durations[failed:]))]
        return span(60, *series, busy=order.uniform(0.4, 0.5))

    minutes = [minute() for _ in range(12)]
    changes = [find_changes(now, before) for before, now in itertools.pairwise(minutes)]
    assert sum(map(len, changes)) <= 1, changes


def test_rates() -> None:
    """A route that fell silent is bad, one that appears is not; a small difference is none."""
    before = span(60, ("/gone", *fast(600)), ("/more", *fast(600)), ("/same", *fast(600)), ("/rare", *fast(10)))
    now = span(30, ("/new", *fast(300)), ("/more", *fast(900)), ("/same", *fast(320)))
    texts = {change["route"]: (change["text"], change["is_bad"]) for change in find_changes(now, before)}
    assert texts == {
        "": ("all routes: 30.2 requests/s → 50.7 requests/s", False),
        "/gone": ("/gone: no requests any more (10.0 requests/s before)", True),
        "/new": ("/new: 10.0 requests/s (none before)", False),
        "/more": ("/more: 10.0 requests/s → 30.0 requests/s", False),
    }
    gone = of(before, now, "/gone")["requests_per_second"]
    assert (gone["before"], gone["now"]) == (10.0, None)


def test_a_percentile_of_few_is_no_change() -> None:
    """Nor is one that is short anyhow, or a single slow response."""
    usual = [20 * MS] * 500
    before = span(60, ("/pay", "200", answered(usual)))
    assert "p99_ms" not in of(before, span(60, ("/pay", "200", answered([*usual[:-6], *[900 * MS] * 6]))))
    assert "p99_ms" not in of(before, span(60, ("/pay", "200", answered([900 * MS] * 4))))
    assert "p99_ms" in of(before, span(60, ("/pay", "200", answered([*usual[:-30], *[900 * MS] * 30]))))
    short = span(60, ("/pay", "200", answered([MS] * 500)))
    assert "p99_ms" not in of(short, span(60, ("/pay", "200", answered([3 * MS] * 500))))


def test_busy_threads() -> None:
    """By a fifth of all at least."""
    (change,) = find_changes(span(60, busy=0.95), span(60, busy=0.2))
    assert (change["what"], change["text"], change["is_bad"]) == ("busy_ratio", "busy threads: 20 % → 95 %", True)
    assert not find_changes(span(60, busy=0.35), span(60, busy=0.2))
    assert not find_changes(span(60, busy=0.9), span(60, busy=None))


def test_the_list_is_bounded_and_needs_something_before() -> None:
    """With seventy routes that fail at once."""
    before = span(60, *((f"/{n}", *fast(100 + n)) for n in range(70)))
    now = span(60, *((f"/{n}", "500", answered([MS] * (100 + n))) for n in range(70)))
    changes = find_changes(now, before)
    assert [change["route"] for change in changes] == ["", *(f"/{n}" for n in range(69, 60, -1))]
    assert len(changes) == MOST
    assert find_changes(now, None) == []


def test_deviations() -> None:
    """Of shares and of rates: 0 where nothing differs, as textbooks have them."""
    assert proportions_z((0, 0), (10, 10)) == 0
    assert proportions_z((50, 80), (100, 100)) == pytest.approx(4.448, abs=0.001)
    assert poisson_z((0, 0), (1, 1)) == 0
    assert poisson_z((100, 144), (1, 1)) == pytest.approx(2.817, abs=0.001)


def test_texts() -> None:
    """As people read them."""
    assert [share_text(share) for share in (0, 0.0005, 0.012, 0.12, 1)] == ["0 %", "0.05 %", "1.2 %", "12 %", "100 %"]
    assert [time_text(ms) for ms in (1.23, 45.2, 999, 1450)] == ["1.2 ms", "45 ms", "999 ms", "1.45 s"]
    assert [rate_text(rate) for rate in (0.25, 12, 1234)] == ["0.25 requests/s", "12.0 requests/s", "1,234 requests/s"]
