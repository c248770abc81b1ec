"""Names: what they may be beyond what ../test_core_of_prometheus_client.py has."""

import pytest

import hvd
from hvd.metrics.instruments import names


def test_legacy_validation_is_a_switch_of_hvds_too() -> None:
    """For a process without prometheus_client."""
    hvd.enable_legacy_validation()
    try:
        with pytest.raises(ValueError, match="invalid metric name"):
            names.check_metric_name("a.b")
    finally:
        hvd.disable_legacy_validation()
    names.check_metric_name("a.b")


def test_names_that_no_text_can_have() -> None:
    """A lone surrogate can't be written anywhere."""
    for call in (lambda: names.check_metric_name("\ud800"), lambda: names.label_names(["\ud800"])):
        with pytest.raises(ValueError, match="ud800"):
            call()


def test_parts_of_a_name() -> None:
    """Joined; a unit comes once, and after a counter's _total was taken away."""
    assert names.full_name("counter", "x_total", "a", "b", "seconds") == "a_b_x_seconds"
    assert names.full_name("gauge", "x_seconds", "", "", "seconds") == "x_seconds"
