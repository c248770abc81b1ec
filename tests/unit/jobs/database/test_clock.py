"""The queue's clock, and what a step of the wall clock does to jobs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hvd.jobs import ids
from hvd.jobs.database import clock
from hvd.jobs.database.clock import Clock
from hvd.jobs.database.connection import Database
from hvd.jobs.database.store import Store
from hvd.jobs.ids import micros_of
from tests.unit.jobs.support import end_of, queue_of, statuses, submit

HOUR = 3_600_000_000  # µs


@pytest.fixture(autouse=True)
def _ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids of this process don't stay ahead of the time, as they are of the last hour that it saw."""
    monkeypatch.setattr(ids, "_last", ids._last)


@contextmanager
def stepped(micros: int) -> Iterator[None]:
    """The wall clock is so much ahead meanwhile."""
    wall = clock.wall_time
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(clock, "wall_time", lambda: wall() + micros)
        yield


def test_it_goes_on_evenly() -> None:
    """From what it was set to, whatever the wall clock does; that is known apart."""
    even = Clock(clock.wall_time() - clock.since_boot())
    before = even.micros()
    with stepped(-HOUR):
        assert 0 <= even.micros() - before < HOUR / 60
        assert even.shift() == -HOUR
    assert even.shift() == 0
    assert abs(even.micros() / 1e6 - time.time()) < 1


def test_the_first_id_is_of_now(database: Database) -> None:
    """Also where the submission is what opens the database."""
    (name,) = submit(Store(database, "a"))
    assert abs(micros_of(name) - clock.wall_time()) < HOUR


def test_all_processes_of_a_machine_have_one_clock(tmp_path: Path) -> None:
    """Whenever they open the database, and whatever the wall clock says by then."""
    url = f"sqlite:///{tmp_path}/jobs.sqlite3"
    one, other = Database(url), Database(url)
    with one.reading():
        pass
    with stepped(32 * 24 * HOUR), other.reading():
        assert other.clock._ahead == one.clock._ahead
    for database in (one, other):
        database.close()


def test_after_a_boot_it_goes_on_by_the_wall_clock_but_not_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that starts with a clock from before has due times, and an order, all the same."""
    url = f"sqlite:///{tmp_path}/jobs.sqlite3"
    database = Database(url)
    names = submit(Store(database, "a"))
    last = database.clock.micros()
    database.close()
    for boot, step in (("second", 3 * HOUR), ("third", -3 * HOUR)):
        monkeypatch.setattr(clock, "boot_id", lambda name=boot: name)
        with stepped(step):
            database = Database(url)
            names += submit(Store(database, "a"))
            assert database.clock.micros() >= micros_of(names[-2]) - 1000, "what was noted before is not to come"
            last = database.clock.micros()
            database.close()
    assert names == sorted(names)
    assert last - clock.wall_time() > 2 * HOUR


def test_where_the_boot_is_hidden_the_clock_goes_not_back_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All processes have one clock, and one that is of an earlier boot is seen by what was noted since."""
    monkeypatch.setattr(clock, "boot_id", lambda: "")
    url = f"sqlite:///{tmp_path}/jobs.sqlite3"
    one, other = Database(url), Database(url)
    submit(Store(one, "a"))
    with stepped(HOUR), other.reading():
        assert other.clock._ahead == one.clock._ahead
    last = one.clock.micros()
    one.close()
    other.close()
    since_boot = clock.since_boot()
    monkeypatch.setattr(clock, "since_boot", lambda: since_boot // 2)
    booted = Database(url)
    submit(Store(booted, "a"))
    assert booted.clock.micros() >= last
    booted.close()


@pytest.mark.parametrize("step", [-HOUR, HOUR, 32 * 24 * HOUR])
def test_a_step_of_the_machines_clock_changes_nothing(database: Database, step: int) -> None:
    """Jobs wait no longer, in the same order, and last as long as they do; people read times by the clock of now."""
    store, queue = Store(database, "here/a"), queue_of(database)
    names = submit(store, 1, "stubborn")
    (job,) = queue.claim({"stubborn": 1}, 1)
    with stepped(step):
        names += submit(store)
        assert [each.id for each in store.newest([], [], 10, None)] == names[::-1]
        (done,) = queue.finish([end_of(job, "failed")])
        assert done.status == "pending"
        due = queue.next_due(["stubborn"])
        assert due is not None
        assert due <= 0.01
        deadline = time.monotonic() + 10
        while not (again := queue.claim({"stubborn": 1}, 1)):
            assert time.monotonic() < deadline
        (done,) = queue.finish([end_of(again[0])])
        assert done.duration is not None
        assert done.duration < 10
        assert statuses(store, names[1:]) == ["pending"]
        assert queue.upkeep.prune(30) == []
        if database.is_local:
            assert abs(store.find(names[1:])[0].created - clock.wall_time() / 1e6) < 2


def test_times_are_microseconds(database: Database) -> None:
    """By the database's clock, which is this machine's here."""
    with database.reading() as connection:
        assert abs(clock.now(connection) / 1e6 - time.time()) < 60
