"""Lines: which of them a series has."""

import hvd
from hvd.metrics.instruments.lines import shows_created


def test_created_lines_can_be_left_out() -> None:
    """By a function of hvd's as by that of prometheus_client."""
    hvd.disable_created_metrics()
    try:
        assert not shows_created()
    finally:
        hvd.enable_created_metrics()
    assert shows_created()
