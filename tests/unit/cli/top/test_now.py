"""The last minute and the minute before."""

from hvd.cli.top.model import Model
from hvd.cli.top.now import now_lines, totals_line
from tests.unit.cli.top.data import frame, metrics, model, span

KNOWN = model().with_message(metrics(last_minute=span(), minute_before=span(server_error_rate=0, p99_ms=45.2)), 100.0)


def words(known: Model, **more: object) -> list[list[str]]:
    return [line.plain.split() for line in now_lines(known, frame(**more))]  # type: ignore[arg-type]


def test_now_stands_above_before() -> None:
    """Shares of errors first, then times and the rate; more where there is room."""
    head, now, before = words(KNOWN)
    assert head == ["5xx", "4xx", "p99", "requests/s", "p50", "p90"]
    assert now == ["last", "minute", "12%", "0.5%", "1.21s", "40.5", "1.2ms", "340ms"]
    assert before == ["before", "0%", "0.5%", "45.2ms", "40.5", "1.2ms", "340ms"]
    assert words(KNOWN, width=160)[0][-2:] == ["busy", "requests"]


def test_red_is_for_the_servers_errors() -> None:
    """And no red where there are none, or where they are old."""
    styles = [str(part.style) for part in now_lines(KNOWN, frame())[1].spans]
    assert styles[:2] == ["bold red", "bold"]
    none = model().with_message(metrics(last_minute=span(server_error_rate=0.0)), 100.0)
    assert str(now_lines(none, frame())[1].spans[0].style) == "bold"
    assert {str(part.style) for part in now_lines(KNOWN, frame(now=900.0))[1].spans} == {"dim"}


def test_little_room_has_pairs() -> None:
    """Now, and before in brackets, in two lines."""
    assert [line.plain for line in now_lines(KNOWN, frame(40, 10))] == [
        "5xx 12% (0%)  4xx 0.5% (0.5%)",
        "p99 1.21s (45.2ms)  req/s 40.5 (40.5)",
    ]


def test_no_traffic_has_no_share_and_no_time() -> None:
    """A zero would look best while nothing is served."""
    idle = span(requests=0, requests_per_second=0.0, server_error_rate=0.0, client_error_rate=0.0, p99_ms=None)
    _, now, before = words(model().with_message(metrics(last_minute=idle), 100.0))
    assert now[:6] == ["last", "minute", "-", "-", "-", "0.0"]
    assert before == ["before", *"------"]


def test_before_the_first_minute_it_is_of_the_last_interval() -> None:
    """And says so."""
    _, now, _ = words(model())
    assert now[:2] == ["just", "now"]
    assert "9.8ms" in now


def test_totals_are_small_print() -> None:
    """As many as have room, big ones short; ends that nobody planned are among them."""
    known = model().with_message(metrics(http_requests=8_410_000_000_000, ends={"unplanned": 2, "planned": 9}), 100.0)
    assert totals_line(known, frame()).plain.startswith(
        "since start 1h 0m: 8.41T requests, 5xx 3, 4xx 2, 2 unplanned ends"
    )
    assert totals_line(known, frame()).style == "dim"
