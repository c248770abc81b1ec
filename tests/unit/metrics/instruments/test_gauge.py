"""What gauges do in a block; the rest is in ../test_core_of_prometheus_client.py."""

import os

import hvd
from hvd.core.block import Block
from tests.unit.core.own.support import in_child
from tests.unit.metrics.instruments.test_base import other_process


def test_the_most_recent_value_is_shown(block: Block, slot: int) -> None:
    """Whichever process set it; of the live mode not any more once that has ended."""
    registry = hvd.CollectorRegistry()
    kept = hvd.Gauge("kept", "Kept.", registry=registry, multiprocess_mode="mostrecent")
    live = hvd.Gauge("live", "Live.", registry=registry, multiprocess_mode="livemostrecent")
    kept.set(1)
    live.set(1)

    def work() -> None:
        other_process(block)
        kept.set(2)
        live.set(2)
        assert live.collect()[0].samples[0].value == 2

    in_child(work)
    assert registry.get_sample_value("kept") == 2
    assert registry.get_sample_value("live") == 1
    kept.set(3)
    assert registry.get_sample_value("kept") == 3


def test_each_process_has_its_own_value_unless_they_combine(block: Block, slot: int) -> None:
    """With its pid, which is no label in a process by itself."""
    gauge = hvd.Gauge("level", "Level.", ["tank"], registry=hvd.CollectorRegistry())
    gauge.labels("a").set(4)
    assert gauge.collect()[0].samples[0].labels == {"tank": "a", "pid": str(os.getpid())}


def test_a_function_gives_the_value_of_a_child(block: Block, slot: int) -> None:
    """Of the most recent mode too."""
    gauge = hvd.Gauge("level", "Level.", ["tank"], registry=hvd.CollectorRegistry(), multiprocess_mode="mostrecent")
    gauge.labels("a").set_function(lambda: 4)
    gauge.labels("a").set(5)
    assert gauge.collect()[0].samples[0].value == 4
