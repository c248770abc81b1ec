"""One thread that reads what all jobs print."""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Iterator

import pytest

from hvd.jobs.run.pump import READ, Pump
from tests.support.loop import eventually, in_loop

PUMPS: list[Pump] = []


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    """A test's pump leaves no descriptor and no thread."""
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    yield
    while PUMPS:
        PUMPS.pop().close()
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before


class Job:
    """A pipe of a job, and what was read from it."""

    def __init__(self) -> None:
        if not PUMPS:
            PUMPS.append(Pump(asyncio.get_running_loop()))
        self.read, self.closed, self.done = b"", 0, 0
        self.threads: set[int] = set()
        output, self.end = os.pipe()
        self.stream = PUMPS[0].add(output, self.take, self.close)

    def take(self, data: bytes) -> None:
        self.threads.add(threading.get_ident())
        self.read += data

    def close(self) -> None:
        self.closed += 1

    async def finish(self) -> None:
        PUMPS[0].finish(self.stream, self.note)
        await eventually(lambda: self.done)

    def note(self) -> None:
        assert threading.current_thread() is threading.main_thread()
        self.done += 1


@in_loop
async def test_all_are_read_in_one_other_thread() -> None:
    """As they print."""
    jobs = [Job() for _ in range(5)]
    for number, job in enumerate(jobs):
        os.write(job.end, b"%d" % number)
    await eventually(lambda: [job.read for job in jobs] == [b"0", b"1", b"2", b"3", b"4"])
    assert len({thread for job in jobs for thread in job.threads} - {threading.get_ident()}) == 1
    for job in jobs:
        os.close(job.end)
    await eventually(lambda: [job.closed for job in jobs] == [1] * 5)
    for job in jobs:
        await job.finish()
    assert [job.closed for job in jobs] == [1] * 5


@in_loop
async def test_what_is_left_is_read_before_it_is_done() -> None:
    """Though somebody holds the other end; of one that goes on and on, a bounded part."""
    job = Job()
    os.write(job.end, b"x" * 50_000)
    await job.finish()
    assert (job.read, job.closed) == (b"x" * 50_000, 1)
    with pytest.raises(BrokenPipeError):
        os.write(job.end, b"more")
    os.close(job.end)

    flood = Job()

    def write() -> None:
        with contextlib.suppress(BrokenPipeError):
            while True:
                os.write(flood.end, b"x" * READ)

    thread = threading.Thread(target=write)
    thread.start()
    await eventually(lambda: flood.read)
    await flood.finish()
    thread.join()
    os.close(flood.end)


@in_loop
async def test_a_fault_with_one_is_none_of_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """Nor is it silent."""

    def fail(data: bytes) -> None:
        raise ZeroDivisionError

    bad, good = Job(), Job()
    bad.stream.take = fail
    os.write(bad.end, b"1")
    os.write(good.end, b"2")
    await eventually(lambda: good.read == b"2" and "could not be taken" in caplog.text)
    os.close(bad.end)
    os.close(good.end)
    await eventually(lambda: bad.closed and good.closed)


@in_loop
async def test_a_slow_disk_delays_no_loop() -> None:
    """Only what is printed."""
    slow, go = Job(), threading.Event()

    def wait(data: bytes) -> None:
        go.wait(30)
        slow.take(data)

    slow.stream.take = wait
    os.write(slow.end, b"1")
    started = time.monotonic()
    for _ in range(20):
        await asyncio.sleep(0.005)
    assert time.monotonic() - started < 10
    assert slow.read == b""
    go.set()
    await slow.finish()
    assert slow.read == b"1"
    os.close(slow.end)
