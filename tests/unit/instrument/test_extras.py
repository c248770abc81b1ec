"""What is kept of a request beside count and duration."""

from typing import Any

import pytest

from hvd.core.amounts import AMOUNT_CELLS
from hvd.core.block import Block
from hvd.core.totals import Reader
from hvd.instrument import extras
from hvd.instrument.extras import Extras, queue_ns
from tests.unit.core.support import catalogue_of, counts, own_rows

NOW = 1_700_000_000 * 10**9
LENGTH = "Content-Length"


@pytest.fixture(params=["compiled", "Python"])
def kept(block: Block, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Extras:
    """In each form that there is."""
    catalogue_of(block).add_families()
    if request.param == "Python":
        monkeypatch.setattr(extras, "measure", extras.measure_in_python)
        monkeypatch.setattr(extras, "content_length", extras.content_length_in_python)
    else:
        assert extras.compiled
    return Extras(own_rows(block))


def sums(block: Block, *labels: str) -> tuple[int, int, int, int]:
    """How many requests of a known size and their sum; the same of responses."""
    totals = Reader(block).read()
    (run,) = (totals.run(one).tolist() for one in totals.of("http_sizes") if one.labels == labels)
    return (
        sum(run[2 : 1 + AMOUNT_CELLS]),
        run[1],
        sum(run[2 + AMOUNT_CELLS :]),
        run[1 + AMOUNT_CELLS],
    )


@pytest.mark.parametrize(
    ("method", "length", "headers", "body", "expected"),
    [
        ("POST", "12", [("Content-Type", "a/b"), (LENGTH, "30")], None, (1, 12, 1, 30)),
        ("GET", None, [("content-LENGTH", "30")], [b"12", b"34"], (0, 0, 1, 30)),
        ("GET", None, [(b"content-length", b"30")], (), (0, 0, 1, 30)),
        ("GET", -1, ((b"Content-Length", b"30"),), None, (0, 0, 1, 30)),
        ("POST", 7, [[b"content-length", b"0"]], None, (1, 7, 1, 0)),
        ("GET", "", [(LENGTH, "30")], [b"1234"], (0, 0, 1, 4)),
        ("GET", "0", [], b"12345", (1, 0, 1, 5)),
        ("HEAD", None, [(LENGTH, "30")], [], (0, 0, 1, 0)),
        ("GET", "12x", [("Content-Lengths", "30")], None, (0, 0, 0, 0)),
        ("GET", "-5", [(LENGTH, "+3"), (LENGTH, "4")], [], (0, 0, 0, 0)),
        ("GET", "9" * 16, [(LENGTH, "²")], [], (0, 0, 0, 0)),
    ],
    ids=str,
)
def test_sizes_are_kept_where_they_are_known(
    kept: Extras, block: Block, method: str, length: Any, headers: Any, body: Any, expected: tuple[int, ...]
) -> None:
    """By the number of a header, or of the only piece; what is no number of bytes is no size."""
    kept.sized(kept.rows.mine(), method, "/x", length, headers, body)
    assert sums(block, method, "/x") == expected


def test_what_is_not_to_be_kept_is_not(block: Block) -> None:
    """As the settings http.sizes and http.queue_time say."""
    catalogue_of(block).add_families()
    none = Extras(own_rows(block), sizes=False, queue_time=False)
    none.sized(none.rows.mine(), "GET", "/x", None, [], [b"ok"])
    none.queued(none.rows.mine(), "t=1")
    assert counts(block, "http_sizes") == counts(block, "http_queue") == {}


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        *(("t=1699999999.750", 250), (" t=1699999999.750 ", 250), ("1699999999750", 250), (b"1699999999750", 250)),
        *(("1699999999750000", 250), ("t=1699999999750000000", 250), ("1700000000", 0), ("t=1699996400", 3_600_000)),
        *(("1699996399", None), ("t=1700000000.001", None), ("t=", None), ("", None), ("12", None), ("-1", None)),
        *(("nan", None), ("t=inf", None), ("t=1e400", None), ("t=now", None), ("99999999999999999999", None)),
    ],
    ids=ascii,
)
def test_the_queue_time_is_read_in_each_form_that_proxies_write(text: str | bytes, ms: float | None) -> None:
    """Seconds of nginx, milliseconds of Heroku, micro- and nanoseconds; a clock that is ahead or far behind: none."""
    found = queue_ns(text, NOW)
    assert found is None if ms is None else found == pytest.approx(ms * 1e6, abs=1000)


def test_time_in_a_queue_counts_as_a_duration(kept: Extras, block: Block) -> None:
    """Only where the header makes sense."""
    kept.queued(kept.rows.mine(), "t=1")
    assert counts(block, "http_queue") == {}
    kept.queued(kept.rows.mine(), f"t={extras.time.time() - 2:.3f}")
    totals = Reader(block).read()
    (run,) = (totals.run(one) for one in totals.of("http_queue"))
    assert run[0] == 1
    assert 1e9 <= run[1] < 20e9


def test_exceptions_count_by_type(kept: Extras, block: Block) -> None:
    """A class's name is bounded, its message is not."""
    for error in (KeyError("a"), KeyError("b"), ValueError("c")):
        kept.raised(kept.rows.mine(), error, "/x", "GET")
    assert counts(block, "http_exceptions") == {("GET", "/x", "KeyError"): 2, ("GET", "/x", "ValueError"): 1}


def test_an_exception_that_is_told_twice_counts_once(kept: Extras, block: Block) -> None:
    """By the framework's signal, and where the app raises it after all."""
    error = KeyError("a")
    for _ in range(2):
        kept.raised(kept.rows.mine(), error, "/x", "GET")
    kept.raised(kept.rows.mine(), Exception.__new__(Exception), "/x", "GET")
    assert counts(block, "http_exceptions") == {("GET", "/x", "KeyError"): 1, ("GET", "/x", "Exception"): 1}


def test_a_process_names_a_route_once(kept: Extras, block: Block) -> None:
    """However often it is asked for."""
    for _ in range(3):
        kept.named(kept.rows.mine(), "/polls/<int:pk>/", "polls:detail")
    assert counts(block, "http_views") == {("/polls/<int:pk>/", "polls:detail"): 1}
