"""Readings: of one moment, of whatever block the process is in, and where that can't be read."""

import pytest

import hvd
from hvd.core.block import Block
from hvd.metrics.instruments.reading import Reading
from tests.unit.core.own.support import damage_last_record


def test_a_reading_is_of_one_moment(block: Block, slot: int) -> None:
    """What is counted later is in the next one."""
    counter = hvd.Counter("orders", "Orders.", registry=hvd.CollectorRegistry())
    reading = Reading()
    assert counter.collect_from(reading)[0].samples[0].value == 0
    counter.inc()
    assert counter.collect_from(reading)[0].samples[0].value == 0
    assert counter.collect()[0].samples[0].value == 1


def test_a_block_that_is_damaged(block: Block, slot: int, caplog: pytest.LogCaptureFixture) -> None:
    """The process's own counts are given, and the log says so."""
    counter = hvd.Counter("orders", "Orders.", registry=hvd.CollectorRegistry())
    counter.inc(2)
    damage_last_record(block)
    assert counter.collect()[0].samples[0].value == 2
    assert "only what this process counted itself can be read" in caplog.text


def test_without_a_block_there_is_nothing_to_read() -> None:
    """The instrument gives what it has."""
    counter = hvd.Counter("orders", "Orders.", registry=None)
    assert counter._family
    assert Reading().of(counter._family) is None
