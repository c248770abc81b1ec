"""What changed, and who differs."""

from hvd.cli.top.changes import change_lines
from hvd.cli.top.frame import ASCII
from tests.unit.cli.top.data import change, detail, frame, model

CHANGES = [change("/pay: 5xx 0 % → 12 %"), change("p99: 45 ms → 1.2 s", what="p99_ms"), change("less", is_bad=False)]
SKEW = [{"pid": 12, "text": "worker 12 uses 98 % of a core, the others 12 %"}]


def test_the_biggest_change_and_a_worker_that_differs_have_room() -> None:
    """On any screen; all of them where there is no end, or much room."""
    known = model().with_message(detail(changes=CHANGES, skew=SKEW), 100.0)
    lines = [line.plain for line in change_lines(known, frame())]
    assert lines == ["changed  /pay: 5xx 0 % → 12 %", "differs  worker 12 uses 98 % of a core, the others 12 %"]
    assert len(change_lines(known, frame(80, None))) == 4
    assert change_lines(known, frame(40, 10)) == []
    assert [worker["differs"] for worker in known.workers] == [False, True]


def test_red_is_for_the_servers_errors() -> None:
    """Other changes for the worse are yellow, others plain; old ones dim; ASCII where there is no more."""
    known = model().with_message(detail(changes=CHANGES), 100.0)
    styles = [str(line.spans[0].style) for line in change_lines(known, frame(80, None))]
    assert styles == ["not dim bold red", "not dim yellow", "not dim "]
    assert {str(line.spans[0].style) for line in change_lines(known, frame(now=900.0))} == {"not dim dim"}
    assert change_lines(known, frame(glyphs=ASCII))[0].plain == "changed  /pay: 5xx 0 % -> 12 %"
