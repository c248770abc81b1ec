"""A block → what one answer is made of: companions that live, their pages, and whether they are late."""

import os
import time

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.slots import Slots
from hvd.read.companions import LATE, STARTING
from hvd.read.reading import BlockReader
from tests.unit.core.own.support import ORDERS, damage_last_record, store_in
from tests.unit.figures import make_admin, make_jobs, make_page, publish


def restart(block: Block, seconds_ago: float = 0.0) -> None:
    """Let the block be that of a daemon which started then."""
    block.cells[layout.H_STARTED_MONO] = time.monotonic_ns() - round(seconds_ago * 1e9)


def taken_ns(block: Block, slot: int) -> int:
    record = Slots(block).get(slot)
    assert record
    return record.taken_ns


def test_companions_are_read_with_what_they_published(block: Block) -> None:
    """Those of each kind, and since when their daemon runs; before any has begun there is nothing."""
    reader = BlockReader(block, runs_jobs=True)
    restart(block, seconds_ago=5)
    before = reader.companions()
    assert (before.aggregators, before.last_page, before.jobs, before.have_begun) == ((), None, None, False)
    assert (before.aggregator_age, before.job_runner_age, reader.heartbeat_age()) == (None, None, None)
    assert before.uptime == pytest.approx(5, abs=1)
    page, jobs = make_page(), make_jobs(trouble="disk full")
    slot = publish(block, page)
    assert not reader.companions().have_begun
    publish(block, jobs)
    assert not reader.companions().have_begun
    publish(block, make_admin())
    companions = reader.companions()
    assert companions.aggregators == ((taken_ns(block, slot), page),)
    assert (companions.last_page, companions.jobs, companions.have_begun) == (page, jobs, True)
    for age in (
        companions.aggregator_age,
        companions.job_runner_age,
        companions.admin_server_age,
        reader.heartbeat_age(),
    ):
        assert age == pytest.approx(0, abs=1)
    assert reader.companions(without=slot).aggregators == ()


def test_a_reading_is_of_one_moment(block: Block) -> None:
    """Its sums are newer than its pages."""
    publish(block, make_page())
    reading = BlockReader(block).read()
    assert reading.observed_age is not None
    assert reading.observed_age >= 0
    assert (reading.totals.heads.started, reading.requests.responses) == (0, 0)


def test_a_page_outlives_its_writer_but_is_not_its_successors(block: Block) -> None:
    """Who takes the slot has published nothing yet; the job runner's figures stay, too."""
    reader = BlockReader(block)
    page, jobs = make_page(), make_jobs()
    slots = [publish(block, page), publish(block, jobs)]
    for slot in slots:
        Slots(block).free(slot)
    Slots(block).claim(layout.KIND_AGGREGATOR, os.getpid(), os.getpid())
    companions = reader.companions()
    assert (companions.aggregators, companions.last_page, companions.jobs) == ((), page, jobs)
    assert companions.aggregator_age is None


def test_pages_of_the_daemon_before_are_not_of_this_one(block: Block) -> None:
    """But jobs: their totals are what they were until the next runner says more, where kinds are declared."""
    jobs = make_jobs()
    publish(block, make_page())
    publish(block, jobs)
    restart(block)
    companions = BlockReader(block, runs_jobs=True).companions()
    assert (companions.aggregators, companions.last_page, companions.jobs) == ((), None, jobs)
    assert not companions.have_begun
    assert BlockReader(block).companions().jobs is None


def test_the_newest_page_counts(block: Block) -> None:
    """Of two aggregators, during an upgrade; both are given."""
    publish(block, make_page(threads=1))
    newer = make_page(threads=2)
    publish(block, newer)
    companions = BlockReader(block).companions()
    assert [page["threads"] for _, page in companions.aggregators] == [1, 2]
    assert companions.last_page == newer


def test_a_companion_that_gives_no_sign_of_life_is_late(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though its process lives."""
    restart(block, seconds_ago=STARTING + 1)
    publish(block, make_page())
    publish(block, make_jobs())
    publish(block, make_admin())
    reader = BlockReader(block, runs_jobs=True)
    assert reader.companions().troubles() == []
    later = time.monotonic_ns() + round(LATE * 1e9)
    monkeypatch.setattr("hvd.read.reading.time.monotonic_ns", lambda: later)
    assert len(reader.companions().troubles()) == 3


def test_what_masters_say_is_read(block: Block) -> None:
    """Workers that can't be started, and whether the block has its name."""
    reader = BlockReader(block)
    assert (reader.companions().missing, reader.companions().removed) == (0, "")
    block.add_master(os.getpid())
    block.say_missing(os.getpid(), 2)
    block.path.unlink()
    assert (reader.companions().missing, reader.companions().removed) == (2, str(block.path))


def test_own_metrics_are_read_where_they_are_asked_for(own_block: Block) -> None:
    """What did not change is the same object in the next reading."""
    store, reader = store_in(own_block), BlockReader(own_block)
    orders = store.declare(ORDERS)
    orders.place(("a",)).add(0, 3)
    assert reader.read().own.families == ()
    (family,) = reader.read(own=True).own.families
    assert [(sample.labels, sample.value) for sample in family.samples] == [(("a",), 3)]
    assert reader.own().families[0] is family
    assert (reader.own().sizes, reader.own().overflowed, reader.own_limit) == ({"orders": 1}, {"orders": 0}, 32)


def test_damaged_own_metrics_take_nothing_else_along(own_block: Block, caplog: pytest.LogCaptureFixture) -> None:
    """They are not shown from then on, and the log says so once."""
    store, reader = store_in(own_block), BlockReader(own_block)
    orders = store.declare(ORDERS)
    orders.place(("a",)).add(0, 3)
    damage_last_record(own_block)
    assert [reader.read(own=True).own.families for _ in range(3)] == [()] * 3
    said = [record.getMessage() for record in caplog.records if "are shown no more" in record.getMessage()]
    assert len(said) == 1
    assert said[0].endswith("of own metrics is damaged")
