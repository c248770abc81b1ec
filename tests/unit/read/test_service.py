"""What workers do now, from the block: capacity, busy threads, requests in progress, clients that are waited for."""

import os
import threading
import time
from dataclasses import replace

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.rows import Rows
from hvd.core.slots import Slots
from hvd.core.stacks import StackFile
from hvd.metrics.clients import WAITING
from hvd.metrics.table import FAMILIES
from hvd.read.service import LONGEST, LongRequest, read_service
from hvd.read.stacks import LastStacks
from tests.unit.core.support import dead_pid, in_thread, own_rows
from tests.unit.figures import SECOND, make_request, make_service, start_worker


def test_a_worker_counts_once_it_has_booted(block: Block) -> None:
    """Before that it is one that boots; a dead one, and a companion, are none."""
    slots = Slots(block)
    slots.claim(layout.KIND_WORKER, os.getpid(), os.getpid())
    slots.claim(layout.KIND_ADMIN_SERVER, os.getpid(), os.getpid())
    gone = slots.claim(layout.KIND_WORKER, os.getpid(), dead_pid())
    slots.say_ready(gone, 4)
    service = read_service(block)
    assert (len(service.workers), service.booting, service.threads, service.is_all_busy) == (0, 1, 0, False)
    start_worker(block, threads=3)
    service = read_service(block)
    assert (len(service.workers), service.booting, service.threads, service.busy) == (1, 1, 3, 0)
    assert (service.longest_seconds, service.longest_requests()) == (0.0, [])


def test_busy_threads_are_those_that_serve(block: Block) -> None:
    """With what they serve, the oldest first."""
    slot = start_worker(block, threads=2)
    rows = Rows(block, slot, FAMILIES)
    row = rows.mine()
    row.begin("GET", "/old")

    def serve() -> None:
        other = rows.mine()
        other.begin("POST", "/new")
        service = read_service(block)
        assert (service.busy, service.threads, service.is_all_busy) == (2, 2, True)
        assert 0 <= service.all_busy_seconds < service.longest_seconds
        old, new = service.longest_requests()
        assert (old["method"], old["path"], old["pid"], old["slot"]) == ("GET", "/old", os.getpid(), slot)
        assert (new["method"], new["path"], new["stack"], new["stack_age_seconds"]) == ("POST", "/new", [], None)
        assert [request.thread for request in service.requests][1] == threading.get_ident()
        other.abandon("exception")

    in_thread(serve)
    assert read_service(block).busy == 1


def test_a_worker_that_ends_has_no_threads_to_offer(block: Block) -> None:
    """Those that are busy still count: else the old workers of a reload would hide that the new ones are saturated."""
    slot = start_worker(block, threads=4)
    Rows(block, slot, FAMILIES).mine().begin("GET", "/long")
    Slots(block).say_ending(slot)
    service = read_service(block)
    assert (len(service.workers), service.threads, service.busy, service.is_all_busy) == (1, 1, 1, True)


def test_requests_in_a_shared_row_count_by_their_number(block: Block) -> None:
    """Only the newest is known."""
    rows = own_rows(block)
    Slots(block).say_ready(rows.slot, 8)
    kept = [rows.take() for _ in range(block.layout.rows + 2)]  # three of their own, the others share
    for number, row in enumerate(kept):
        row.begin("GET", f"/{number}")
    service = read_service(block)
    assert service.busy == len(kept) == len(service.ages_ns)
    assert service.longest_requests()[-1]["path"] == f"/{len(kept) - 1}"


def test_no_more_threads_are_busy_than_there_are() -> None:
    """Requests may be in threads of a middleware's own."""
    assert make_service(make_request(1, number=9), threads=4).busy == 4


def test_clients_are_counted_by_what_is_waited_for() -> None:
    """That keeps no thread busy where the worker's loop waits for them."""
    service = make_service(make_request(3), threads=8, clients=(2, 3, 1, 4, 5, 9, 0, 0))
    assert (service.busy, service.queued) == (1, 9)
    assert tuple(service.waiting_clients) == WAITING
    assert service.waiting_clients == {"silent": 2, "half_head": 3, "half_body": 1, "unread": 4, "idle": 5}


@pytest.mark.parametrize(
    ("ages", "threads", "seconds"), [([9, 3], 2, 3.0), ([9], 2, 0.0), ([9, 5, 3], 2, 3.0), ([], 0, 0.0)]
)
def test_the_youngest_request_proves_for_how_long_all_are_busy(ages: list[float], threads: int, seconds: float) -> None:
    """While one is free they are not; of one that waits for a request it is not known since when."""
    held = make_service(make_request(9), threads=2, clients=(0, 1, 0, 0, 0, 0, 1, 0))
    assert (held.busy, held.is_all_busy, held.all_busy_seconds) == (2, True, 0.0)
    assert make_service(*map(make_request, ages), threads=threads).all_busy_seconds == seconds


def test_the_oldest_requests_are_shown() -> None:
    """And no more than a few."""
    service = make_service(*map(make_request, range(1, 2 * LONGEST)), threads=50)
    ages = [request["age_seconds"] for request in service.longest_requests()]
    assert ages == list(range(2 * LONGEST - 1, LONGEST - 1, -1))
    assert service.longest_seconds == 2 * LONGEST - 1


STACK = """\
Thread 0x{thread:x} (most recent call first):
  File "/srv/shop/views.py", line 12 in checkout
"""


def test_a_request_has_the_stack_that_was_taken_since_it_began(block: Block) -> None:
    """Of its thread; an older one is that of another request, and that of another thread says nothing of it."""
    file = StackFile()
    try:
        slot = start_worker(block)
        rows, cell = Rows(block, slot, FAMILIES), block.layout.slot_cell(slot) + layout.S_STACK_TAKEN_NS

        def ask() -> LongRequest:
            (request,) = read_service(block, LastStacks(block, file)).longest_requests()
            return request

        before = time.monotonic_ns()
        rows.mine().begin("GET", "/slow")
        assert (ask()["stack"], ask()["stack_age_seconds"]) == ([], None)
        file.write(slot, STACK.format(thread=threading.get_ident()))
        block.cells[cell] = before
        assert (ask()["stack"], ask()["stack_age_seconds"]) == ([], None)
        block.cells[cell] = time.monotonic_ns()
        assert ask()["stack"] == [{"file": "/srv/shop/views.py", "line": 12, "function": "checkout"}]
        assert 0 <= (ask()["stack_age_seconds"] or 0) < 60
        file.write(slot, STACK.format(thread=threading.get_ident() + 1))
        block.cells[cell] = time.monotonic_ns()
        assert (ask()["stack"], ask()["stack_age_seconds"]) == ([], None)
    finally:
        os.close(file.fd)


def test_of_a_thread_with_many_requests_the_oldest_has_its_stack(block: Block) -> None:
    """The same frames at each would say no more."""
    file = StackFile()
    try:
        slot = start_worker(block)
        many = [rows.entry() for rows in [Rows(block, slot, FAMILIES)] for _ in range(5)]
        for number, entry in enumerate(many):
            entry.begin("GET", f"/{number}")
        file.write(slot, STACK.format(thread=threading.get_ident()))
        block.cells[block.layout.slot_cell(slot) + layout.S_STACK_TAKEN_NS] = time.monotonic_ns()
        requests = read_service(block, LastStacks(block, file)).longest_requests()
        assert [(request["path"], len(request["stack"])) for request in requests] == [
            *(("/0", 1), ("/1", 0), ("/2", 0), ("/3", 0), ("/4", 0))
        ]
    finally:
        os.close(file.fd)


def test_a_loop_that_turned_late_or_stands_still_is_late() -> None:
    """Whichever is more; the latest of all workers counts, and without an event loop there is none."""
    service = make_service()
    (worker,) = service.workers
    assert service.event_loop_lag_seconds is None

    def lag(*loops: tuple[float, float]) -> float | None:
        at = service.at_ns
        workers = [
            replace(worker, loop_ns=at - round(s * SECOND), loop_lag_ns=round(late * SECOND)) for s, late in loops
        ]
        return replace(service, workers=[worker, *workers]).event_loop_lag_seconds

    assert lag((0.1, 0.0)) == lag((0.25, 0.0)) == 0.0
    assert lag((0.1, 0.5)) == 0.5
    assert lag((3.25, 0.5), (0.1, 1.0)) == 3.0


def test_requests_in_progress_are_told_by_method() -> None:
    """As far as it is known."""
    service = make_service(make_request(3.0), make_request(2.0), make_request(1.0, "PUT /x"), threads=4)
    assert service.open_by_method == {"GET": 2, "PUT": 1}
