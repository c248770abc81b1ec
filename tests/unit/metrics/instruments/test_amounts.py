"""What only histograms of hvd's have; the rest is in ../test_core_of_prometheus_client.py."""

import hvd
from hvd.core.block import Block


def test_logarithmic_buckets(block: Block, slot: int) -> None:
    """Lines are given by the powers of two around what was observed."""
    registry = hvd.CollectorRegistry()
    sizes = hvd.Histogram("sizes", "Sizes.", registry=registry, buckets=hvd.LOGARITHMIC)
    for amount in (3.0, 3.5, 20.0):
        sizes.observe(amount, {"trace": str(amount)})
    samples = sizes.collect()[0].samples
    buckets = [sample for sample in samples if sample.name == "sizes_bucket"]
    assert [(sample.labels["le"], sample.value) for sample in buckets] == [
        *(("2.0", 0), ("4.0", 2), ("8.0", 2), ("16.0", 2), ("32.0", 3), ("+Inf", 3)),
    ]
    assert buckets[1].exemplar.labels == {"trace": "3.5"}
    sizes.observe(0)
    sizes.observe(2.0**40)
    assert registry.get_sample_value("sizes_bucket", {"le": "0.0"}) == 1
    assert registry.get_sample_value("sizes_bucket", {"le": "32.0"}) == 4
    assert registry.get_sample_value("sizes_count") == 5
