"""What is known of own metrics: rows, what is pinned, and the points of that and of what is watched."""

import pytest

from hvd.cli.top.own import Own
from tests.unit.cli.top.data import HOSTILE, Json, own_metrics

NORTH = 'orders_total{shop="north"}'


def told(own: Own, time: float | None, *pinned: str, north: float = 2.0) -> Own:
    """After a message."""
    point = None if time is None else {"time": time}
    return own.with_detail(
        {"own": own_metrics(north), "pinned": {key: {"rate": north} for key in pinned}, "point": point}
    )


def test_rows_are_of_series_and_of_all_together() -> None:
    """By the keys that the daemon has."""
    rows = list(told(Own(), None, NORTH).rows())
    assert [(row["key"], row["value"], row["pinned"]) for row in rows] == [
        ("orders_total", 1234, False),
        (NORTH, 1200, True),
        ('orders_total{shop="south"}', 34, False),
        ("level", -2.5, False),
        ("pay_seconds", 7, False),
    ]
    assert (rows[0]["all"], rows[4]["unit"]) == (2, "seconds")
    build = {"name": "build", "kind": "info", "series": [{"labels": {}, "info": {"version": "1.2"}}]}
    assert [row["value"] for row in Own().with_detail({"own": [build]}).rows()] == ["version=1.2"]


def test_what_is_pinned_or_watched_has_points() -> None:
    """From now on, or those that the daemon kept; as long as the daemon keeps them."""
    own = told(Own().watching("level").watching(""), 1000.0)
    own = own.with_pins({"pins": [{"key": NORTH, "points": [[998.0, 1.5], [1000.0, None]]}]})
    own = told(told(own, 1002.0, NORTH, north=3.0), None, NORTH, north=9.0)
    assert own.points == {
        "level": ((1000.0, (-2.5,)), (1002.0, (-2.5,))),
        NORTH: ((998.0, (1.5,)), (1000.0, (None,)), (1002.0, (3.0,))),
    }
    own = told(own, 1899.0)
    assert own.points == {"level": ((1000.0, (-2.5,)), (1002.0, (-2.5,)), (1899.0, (-2.5,)))}, "it is pinned no more"


def test_only_so_many_are_watched() -> None:
    """The last ones."""
    own = Own()
    for number in range(60):
        own = own.watching(f"metric_{number}")
    assert (len(own.watched), own.watched[-1]) == (50, "metric_59")
    assert own.watching("metric_59") is own


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"own": 7, "pinned": [], "point": {"time": "x"}},
        {"own": [{"name": HOSTILE, "labels": 7, "series": [{"labels": [], "recent": 7}], "series_total": "x"}, 7]},
        {"own": [{"series": None, "recent": {"rate": "NaN"}, "series_total": 3}], "point": {"time": 1.0}},
    ],
)
def test_what_another_version_sends_is_no_error(data: Json) -> None:
    """Rows of it are text."""
    own = Own().watching("level").with_detail(data)
    assert all(isinstance(row["key"], str) for row in own.rows())
    assert Own().with_pins({"pins": [{"points": [7, [], ["x"], [1.0, "x"]]}, 7]}).points == {"None": ((1.0, (None,)),)}
