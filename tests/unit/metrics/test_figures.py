"""What the metrics are made of."""

from tests.unit.figures import make_figures, make_totals, timed


def test_series_are_found_by_their_family() -> None:
    """Each family that may have series is there, be it without any."""
    totals = make_totals({("tick", "read"): timed(1), ("tick", "observe"): timed(1), ("ws_frames",): [1]})
    series = make_figures(totals, limits={"tick": 8, "http": 9}).series
    assert {family: [one.labels for one in of_family] for family, of_family in series.items()} == {
        "tick": [("read",), ("observe",)],
        "http": [],
        "ws_frames": [()],
    }
