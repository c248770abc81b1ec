"""The route of a request."""

from hvd.instrument.routes import route_of


def test_nobody_told_one() -> None:
    """So the request counts as unmatched."""
    assert route_of({}) is None
