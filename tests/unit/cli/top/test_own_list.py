"""Own metrics on the screen: the list, the search, the charts."""

from dataclasses import replace

import pytest
from rich.cells import cell_len

from hvd.cli.top.frame import ASCII
from hvd.cli.top.keys import METRICS, State
from hvd.cli.top.layout import lay_out
from hvd.cli.top.model import Model
from hvd.cli.top.own_list import found_rows
from tests.unit.cli.top.data import HOSTILE, detail, frame, model, own_metrics, own_model, text

NORTH = 'orders_total{shop="north"}'
FOCUSED = State(focus=METRICS)


def test_the_list_shows_values_and_what_was_lately() -> None:
    """With a mark at what is pinned; without metrics there is no list."""
    screen = text(own_model(NORTH), frame(100, None))
    for part in ("metrics 5", "orders_total (all 2)", f"● {NORTH}", "1,200", "2/s", "p50 45.2ms  p99 1.48s", "-2.5"):
        assert part in screen, screen
    assert "metrics" not in text(model(), frame(100, None))


def test_a_search_has_all_its_words() -> None:
    """In name, labels or help."""
    assert [row["key"] for row in found_rows(own_model(), State(search="SOUTH placed"))] == [
        'orders_total{shop="south"}'
    ]
    assert found_rows(own_model(), State(search="south level")) == []
    screen = text(own_model(), frame(), replace(FOCUSED, search="pay", typing=True))
    assert "4 metrics 1 /pay_" in screen


def test_the_selected_one_is_charted_and_what_is_pinned() -> None:
    """A line for each of its figures; as far as there is room."""
    known = own_model("orders_total").watching("pay_seconds")
    known = known.with_message(detail(own=own_metrics(), pinned={"orders_total": {"rate": 2.5}}), 100.0)
    state = replace(FOCUSED, scrolled=(0, 0, 0, 4))
    drawn = lay_out(known, state, frame(120, 40))
    screen = "\n".join(line.plain for line in drawn.lines)
    assert drawn.selected == "pay_seconds"
    charts = [line.split() for line in screen.partition("own metrics, last")[2].splitlines()[1:4]]
    assert [line[:3] for line in charts] == [
        ["pay_seconds", "p50", "45.2ms"],
        ["pay_seconds", "p99", "1.48s"],
        ["orders_total", "rate", "2.5"],
    ]
    assert all("█" in line[3] for line in charts), "each has a point"
    (line,) = [line for line in drawn.lines if "pay_seconds  " in line.plain and "histogram" in line.plain]
    assert any(str(span.style) == "reverse" for span in line.spans)
    assert lay_out(known, replace(state, search="nothing"), frame(120, 40)).selected == ""


def test_the_selected_one_is_on_the_screen() -> None:
    """However long the list is."""
    series = [{"labels": {"n": str(n)}, "value": n, "recent": {"rate": 1.0}} for n in range(100, 300)]
    metric = {"name": "many", "kind": "counter", "series": series, "series_total": 500, "recent": {"rate": 1.0}}
    known = model().with_message(detail(own=[metric]), 100.0)
    for selected in (0, 3, 150, 200, 999):
        drawn = lay_out(known, replace(FOCUSED, scrolled=(0, 0, 0, selected)), frame(80, 24))
        lines = [line.plain for line in drawn.lines if any(str(span.style) == "reverse" for span in line.spans)]
        assert drawn.scroll_end == 200
        assert drawn.selected in lines[-1], lines


def test_a_refusal_is_shown() -> None:
    """Until the next pin."""
    assert "not pinned: 16 are" in text(own_model().with_refusal("16 are"), frame(120), FOCUSED)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50), (20, 5), (1, 1), (40, 12)])
def test_any_screen_and_any_metric_will_do(width: int, height: int) -> None:
    """Hostile names too; ASCII where the terminal has no more."""
    series = [{"labels": {"a": HOSTILE}, "value": "NaN", "recent": {"rate": None}}]
    metric = {"name": HOSTILE, "kind": HOSTILE, "help": None, "series": series, "series_total": 1, "recent": {}}
    hostile = model().with_message(detail(own=[metric, {}], pinned={HOSTILE: {"rate": 1.0}}), 100.0)
    for known in (hostile, own_model(NORTH), Model()):
        for state in (FOCUSED, replace(FOCUSED, typing=True, search="x" * 60)):
            lines = lay_out(known, state, frame(width, height, glyphs=ASCII)).lines
            assert len(lines) == height
            assert all(cell_len(line.plain) <= width and line.plain.isascii() for line in lines)
