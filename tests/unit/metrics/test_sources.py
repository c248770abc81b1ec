"""Sources of metrics: what they give of a daemon's figures, and None where nobody has published any."""

from hvd.metrics.sources import ended_jobs, jobs_of, observed_of, open_jobs, process_values
from tests.unit.figures import make_figures, make_jobs, make_page, make_sample, make_totals, timed


def test_nothing_is_given_of_what_nobody_has_published() -> None:
    """So a metric is left out, and does not begin with 0."""
    nothing = make_figures(make_totals({}), None, None)
    assert observed_of(lambda page: page["tasks"])(nothing) is None
    assert process_values(lambda process: process["threads"])(nothing) is None
    assert jobs_of(open_jobs)(nothing) is None
    unread = make_figures(make_totals({}), None, make_jobs() | {"read_ns": 0})
    assert jobs_of(ended_jobs)(unread) is None


def test_a_process_that_could_not_be_read_is_left_out() -> None:
    """The others have their sample."""
    page = make_page(make_sample("worker", 1, threads=None), make_sample("worker", 2, slot=9, threads=5))
    figures = make_figures(make_totals({}), page)
    assert process_values(lambda process: process["threads"])(figures) == [(("worker", "9"), 5)]


def test_series_are_found_by_their_family() -> None:
    """Each family that may have series is there, be it without any."""
    totals = make_totals({("tick", "read"): timed(1), ("tick", "observe"): timed(1), ("ws_frames",): [1]})
    series = make_figures(totals, limits={"tick": 8, "http": 9}).series
    assert {family: [one.labels for one in of_family] for family, of_family in series.items()} == {
        "tick": [("read",), ("observe",)],
        "http": [],
        "ws_frames": [()],
    }
