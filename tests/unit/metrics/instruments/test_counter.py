"""What only counters have; the rest is in ../test_core_of_prometheus_client.py."""

import hvd


def test_integers_count_exactly() -> None:
    """Where a float can't any more; and what is no integer is added to them."""
    registry = hvd.CollectorRegistry()
    counter = hvd.Counter("bytes", "Bytes.", registry=registry)
    counter.inc(2**53)
    counter.inc()
    assert registry.get_sample_value("bytes_total") == 2**53 + 1
    other = hvd.Counter("parts", "Parts.", registry=registry)
    other.inc(2)
    other.inc(0.5)
    assert registry.get_sample_value("parts_total") == 2.5


def test_a_number_that_is_none_counts_nothing() -> None:
    """So the sum stays one."""
    counter = hvd.Counter("bytes", "Bytes.", registry=None)
    counter.inc(float("nan"))
    counter.inc(2)
    assert counter.collect()[0].samples[0].value == 2
