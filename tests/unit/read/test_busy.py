"""Busy time from reading to reading: what began before, goes on after, or died in between."""

from dataclasses import replace

from hvd.read.busy import BusyTime
from hvd.read.service import OpenRequest, Service, WorkerState
from tests.unit.figures import SECOND

IDLE = (0,) * 8


def at(seconds: float, *began: float, threads: int = 4, taken: float = 0) -> Service:
    """A worker at that time, with requests in progress that began then."""
    taken_ns = round(taken * SECOND)
    requests = [OpenRequest(1, 9, taken_ns, round(each * SECOND), "GET /") for each in began]
    return Service(round(seconds * SECOND), [WorkerState(9, taken_ns, threads, IDLE, requests)])


def ratio(before: Service, after: Service, ended: float = 0.0) -> float:
    """Where requests ended in between, of these seconds in all."""
    return BusyTime(before, 1000 * SECOND).ratio(after, round((1000 + ended) * SECOND))


def test_what_began_and_ended_within_counts_whole() -> None:
    """2 s of requests in 4 threads times 2 s."""
    assert ratio(at(10), at(12), ended=2.0) == 0.25


def test_what_began_before_counts_from_then_on() -> None:
    """Its duration has all of it: 7 s, of which 5 were before."""
    assert ratio(at(10, 5), at(12), ended=7.0) == 0.25


def test_what_goes_on_counts_until_now() -> None:
    """From its begin, or from the reading before."""
    assert ratio(at(10), at(12, 11)) == 0.125
    assert ratio(at(10, 1), at(12, 1)) == 0.25
    assert ratio(at(10, 1, 2, 3, 4), at(12, 1, 2, 3, 4)) == 1.0


def test_of_many_in_one_thread_each_counts() -> None:
    """Those too of which only the number is known: as long as the newest that is."""
    many = at(12, *[11] * 63, threads=100)
    (worker,) = many.workers
    newest = replace(worker.requests[-1], number=17)
    assert ratio(at(10, threads=100), many) == 0.315
    assert ratio(at(10, threads=100), replace(many, workers=[replace(worker, requests=[newest] * 2)])) == 0.17


def test_each_span_counts_for_itself() -> None:
    """A request of 5 s over three readings, and then nothing."""
    busy = BusyTime(at(10, threads=1), 0)
    assert [
        busy.ratio(at(12, 11, threads=1), 0),
        busy.ratio(at(14, 11, threads=1), 0),
        busy.ratio(at(16.5, threads=1), 5 * SECOND),
        busy.ratio(at(20, threads=1), 5 * SECOND),
    ] == [0.5, 1.0, 0.8, 0.0]


def test_a_worker_that_was_killed_takes_no_time_off() -> None:
    """What it was serving has no duration: the others' time stays."""
    assert ratio(at(10, 1, 1, 1), at(12, taken=11), ended=4.0) == 0.5


def test_it_is_a_share_in_any_case() -> None:
    """Of requests in more threads than are known, in no time, and without a worker."""
    assert ratio(at(10), at(12), ended=60) == 1.0
    assert ratio(at(10, 1), at(12), ended=0) == 0.0
    assert ratio(at(10), at(10), ended=1) == 0.0
    assert ratio(at(10), replace(at(12), workers=()), ended=1) == 0.0
