"""What processes have in progress, as rows say it."""

import threading
import time

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.progress import read_progress
from hvd.core.slots import Slots
from tests.unit.core.support import WORKER, own_rows


def test_what_is_in_progress_is_read_with_its_thread(block: Block) -> None:
    """Of an idle row nothing is."""
    rows = own_rows(block)
    assert read_progress(block, WORKER) == []
    before = time.monotonic_ns()
    rows.mine().begin("GET", "/slow")
    (entry,) = read_progress(block, WORKER)
    assert (entry.number, entry.text, entry.thread) == (1, "GET /slow", threading.get_ident())
    assert before <= entry.begin_ns <= time.monotonic_ns()


def test_each_request_of_a_thread_that_serves_many_is_read(block: Block) -> None:
    """Those without an entry too, as a part of the newest that has one."""
    rows, room = own_rows(block), block.layout.entries
    many = [rows.entry() for _ in range(room + 3)]
    for number, entry in enumerate(many):
        entry.begin("GET", f"/{number}")
        progress = read_progress(block, WORKER)
        assert sum(request.number for request in progress) == number + 1
    assert [request.text for request in progress] == [f"GET /{number}" for number in range(room)]
    assert [request.number for request in progress] == [1] * (room - 1) + [4]
    assert {request.thread for request in progress} == {threading.get_ident()}
    del many[:-1], entry
    assert read_progress(block, WORKER) == []
    many[0].begin("GET", "/again")
    assert [request.text for request in read_progress(block, WORKER)] == ["GET /again"]


def test_a_slot_that_changes_hands_forgets_what_its_process_was_like(block: Block) -> None:
    """How much it serves at once, its stacks, its clients."""
    slots = Slots(block)
    number = slots.claim(layout.KIND_WORKER, 1)
    slots.say_ready(number, 4)
    cell = block.layout.slot_cell(number)
    block.cells[cell + layout.S_CLIENTS + layout.CLIENTS - 1] = 9
    taken = slots.get(number)
    assert taken
    assert (taken.threads, taken.clients[-1]) == (4, 9)
    slots.free(number)
    assert slots.claim(layout.KIND_WORKER, 1) == number
    again = slots.get(number)
    assert again
    assert (again.threads, again.clients) == (0, (0,) * layout.CLIENTS)
