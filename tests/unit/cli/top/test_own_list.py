"""Own metrics on the screen: the list, the search, the charts."""

import pytest
from rich.cells import cell_len

from hvd.cli.top.choice import Choice
from hvd.cli.top.frame import ASCII, UNICODE
from hvd.cli.top.layout import lay_out
from hvd.cli.top.model import Model
from hvd.cli.top.own_list import OWN, own_charts
from tests.unit.cli.top.data import HOSTILE, detail, frame, model, own_metrics, own_model, text

NORTH = 'orders_total{shop="north"}'
SEEN = Choice(tab="metrics")


def test_the_list_shows_values_and_what_was_lately() -> None:
    """With a mark at what is pinned; without metrics there is no list."""
    screen = text(own_model(NORTH), frame(100, None))
    for part in ("metrics 5", "orders_total (all 2)", f"● {NORTH}", "1,200", "2/s", "p50 45.2ms  p99 1.48s", "-2.5"):
        assert part in screen, screen
    assert "metrics" not in text(model(), frame(100, None))


def test_a_search_has_all_its_words() -> None:
    """In name, labels or help; the tab says so."""
    rows = list(own_model().own.rows())
    assert [row["key"] for row in OWN.search(rows, "SOUTH placed")] == ['orders_total{shop="south"}']
    assert OWN.search(rows, "south level") == []
    assert "4 metrics 5 /pay: 1" in text(own_model(), frame(), SEEN.with_search("pay"))


def test_the_selected_one_is_charted_and_what_is_pinned() -> None:
    """A chart for each of its figures, with a scale in its unit."""
    known = own_model("orders_total").watching("pay_seconds")
    known = known.with_message(detail(own=own_metrics(), pinned={"orders_total": {"rate": 2.5}}), 100.0)
    charts = own_charts(known, "pay_seconds", UNICODE)
    assert [(chart.title, chart.now) for chart in charts] == [
        ("pay_seconds p50", "45.2ms"),
        ("pay_seconds p99", "1.48s"),
        ("orders_total rate", "2.5"),
    ]
    picture = "\n".join(
        line.plain for line in lay_out(known, Choice("metrics", selected="pay_seconds"), frame(120, 40)).charts
    )
    for part in ("pay_seconds p50  45.2ms", "50.0ms│", "2.00s│", "orders_total rate  2.5", "5│"):
        assert part in picture, picture


def test_a_refusal_is_shown() -> None:
    """Until the next pin."""
    assert "not pinned: 16 are" in text(own_model().with_refusal("16 are"), frame(120), SEEN)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50), (20, 5), (40, 12)])
def test_any_screen_and_any_metric_will_do(width: int, height: int) -> None:
    """Hostile names too; ASCII where the terminal has no more."""
    series = [{"labels": {"a": HOSTILE}, "value": "NaN", "recent": {"rate": None}}]
    metric = {"name": HOSTILE, "kind": HOSTILE, "help": None, "series": series, "series_total": 1, "recent": {}}
    hostile = model().with_message(detail(own=[metric, {}], pinned={HOSTILE: {"rate": 1.0}}), 100.0)
    for known in (hostile, own_model(NORTH), Model()):
        for line in text(known, frame(width, height, glyphs=ASCII), SEEN).splitlines():
            assert cell_len(line) <= width, line
            assert line.isascii()
