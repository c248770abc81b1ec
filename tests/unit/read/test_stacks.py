"""Stacks read from what faulthandler writes, in each form that it has."""

import faulthandler
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.stacks import CRASHED, StackFile
from hvd.read.stacks import FRAMES, LastStacks, SlotStacks, StacksOfDead, ThreadStack, parse
from tests.unit.core.support import WORKER

V311 = """\
Fatal Python error: Segmentation fault

Thread 0x00007f6b1d3ff6c0 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 320 in wait
  File "/srv/shop/views.py", line 12 in checkout
  ...

Current thread 0x00007f6b1e0b8740 (most recent call first):
  Garbage-collecting
  File "<frozen importlib._bootstrap>", line 241 in _call_with_frames_removed
  File ???, line ??? in ???
  <truncated rest of calls>

Extension modules: hvd.core._hotrow, _cffi_backend (total: 2)
"""

V314 = """\
Thread 0x00007f6b1d3ff6c0 [ThreadPoolExec] (most recent call first):
  File "/srv/a "b", line 3.py", line 7 in <module>

Current thread 0x00007f6b1e0b8740 [a] b (most recent call first)] (most recent call first):
  <no Python frame>

Current thread's C stack trace (most recent call first):
  Binary file "/usr/bin/python3.14", at _Py_DumpStack+0x33 [0x55]
  <truncated rest of calls>
"""


def frame(file: str, line: int, function: str) -> dict[str, object]:
    return {"file": file, "line": line, "function": function}


def test_the_form_of_python_3_11() -> None:
    """The lines that are neither a thread's nor a frame's are passed over."""
    waiting, current = parse(V311)
    assert (waiting.thread, waiting.is_current) == (0x7F6B1D3FF6C0, False)
    assert list(waiting.frames) == [
        frame("/usr/lib/python3.11/threading.py", 320, "wait"),
        frame("/srv/shop/views.py", 12, "checkout"),
    ]
    assert (current.thread, current.is_current) == (0x7F6B1E0B8740, True)
    assert list(current.frames) == [
        frame("<frozen importlib._bootstrap>", 241, "_call_with_frames_removed"),
        frame("???", 0, "???"),
    ]


def test_the_form_of_python_3_14() -> None:
    """Names of threads may look like anything, as files may; stacks of C are no threads."""
    named, current = parse(V314)
    assert list(named.frames) == [frame('/srv/a "b", line 3.py', 7, "<module>")]
    assert (current.thread, current.is_current, current.frames) == (0x7F6B1E0B8740, True, ())


def test_what_this_python_writes_is_read() -> None:
    """All its threads, with their idents."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        with tempfile.TemporaryFile() as file:
            faulthandler.dump_traceback(file, all_threads=True)
            file.seek(0)
            threads = parse(file.read().decode())
    finally:
        stop.set()
        thread.join()
    by_ident = {one.thread: one for one in threads}
    assert by_ident[threading.get_ident()].is_current
    assert by_ident[threading.get_ident()].frames[0]["function"] == "test_what_this_python_writes_is_read"
    assert by_ident[threading.get_ident()].frames[0]["file"] == __file__
    assert thread.ident
    assert "wait" in [one["function"] for one in by_ident[thread.ident].frames]


def test_escapes_are_undone() -> None:
    """Not those that are a file's own: a backslash is written as it is."""
    text = (
        'Thread 0x1 (most recent call first):\n  File "/\\u0444/\\xfc\\U0001f600\\x41\\udc80\\n.py", line 1 in \\xe9t\n'
    )
    ((one,),) = (thread.frames for thread in parse(text))
    assert one == frame("/ф/ü😀\\x41\\udc80\\n.py", 1, "ét")


@pytest.mark.parametrize("text", [V311, V314])
def test_a_dump_that_is_cut_off_anywhere_is_read_as_far_as_it_goes(text: str) -> None:
    """A process that is killed while it writes leaves whole threads and frames, or fewer."""
    whole = [one for thread in parse(text) for one in thread.frames]
    for end in range(len(text)):
        for thread in parse(text[:end]):
            assert len(thread.frames) <= len(whole)
            assert all(re.fullmatch(r".+", one["file"]) for one in thread.frames)
    assert parse('garbage\n  File "/x", line 1 in y\n\x00\x01') == []


def test_frames_of_a_thread_are_bounded() -> None:
    """From the innermost on."""
    lines = "".join(f'  File "/x.py", line {number} in f\n' for number in range(1, 101))
    (thread,) = parse("Thread 0x1 (most recent call first):\n" + lines)
    assert [one["line"] for one in thread.frames] == list(range(1, FRAMES + 1))


@pytest.fixture
def file() -> Iterator[StackFile]:
    stacks = StackFile()
    yield stacks
    os.close(stacks.fd)


def take(block: Block, file: StackFile, taken_ns: int, *threads: int) -> None:
    """Leave stacks of such threads in the first worker's region, as a master does."""
    lines = (
        f'Thread 0x{thread:016x} (most recent call first):\n  File "/x", line {thread} in f\n' for thread in threads
    )
    file.write(WORKER, "\n".join(lines))
    block.cells[block.layout.slot_cell(WORKER) + layout.S_STACK_TAKEN_NS] = taken_ns


def test_a_thread_is_found_in_what_was_taken_since_a_moment(block: Block, file: StackFile) -> None:
    """Of another moment, of no thread, of an unknown one there is none."""
    last = LastStacks(block, file)
    assert last.of_thread(WORKER, 5, 0) is None
    take(block, file, 1000, 4, 5)
    stack = last.of_thread(WORKER, 5, 1000)
    assert stack
    assert (stack.taken_ns, list(stack.frames)) == (1000, [frame("/x", 5, "f")])
    assert last.of_thread(WORKER, 5, 1001) is None
    assert last.of_thread(WORKER, 0, 0) is None
    assert last.of_thread(WORKER, 6, 0) is None
    assert last.of_thread(WORKER + 1, 5, 0) is None
    take(block, file, 2000, 6)
    assert last.of_thread(WORKER, 6, 1001)


def test_a_text_is_parsed_once(block: Block, file: StackFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until another one was taken; one that changes meanwhile is none."""
    last = LastStacks(block, file)
    take(block, file, 1000, 5)
    expected = [ThreadStack(5, False, (frame("/x", 5, "f"),))]  # type: ignore[arg-type]
    assert last.of_slot(WORKER) == SlotStacks(1000, expected)
    read = file.read
    monkeypatch.setattr(file, "read", lambda slot: pytest.fail("it was read again"))
    assert last.of_thread(WORKER, 5, 0)

    def read_late(slot: int) -> str:
        text = read(slot)
        block.cells[block.layout.slot_cell(WORKER) + layout.S_STACK_TAKEN_NS] = 0
        return text

    monkeypatch.setattr(file, "read", read_late)
    take(block, file, 2000, 6)
    assert last.of_slot(WORKER) == SlotStacks()


def test_without_a_file_there_are_none(block: Block) -> None:
    """As where there is no /proc."""
    block.cells[block.layout.slot_cell(WORKER) + layout.S_STACK_TAKEN_NS] = time.monotonic_ns()
    assert LastStacks(block, None).of_slot(WORKER) == SlotStacks()


def test_where_an_event_loop_stands_is_what_was_taken_while_it_was_late(block: Block, file: StackFile) -> None:
    """Of the main thread; not of a loop that turned meanwhile, waits, or isn't there."""
    last, dead = LastStacks(block, file), StacksOfDead(block, file)
    head = "Current thread 0x6 (most recent call first):\n"
    spin = head + '  File "/srv/shop.py", line 15 in spin\n'

    def leave(text: str, taken_ns: int) -> None:
        file.write(WORKER, f'Thread 0x5 (most recent call first):\n  File "/x", line 1 in f\n\n{text}')
        block.cells[block.layout.slot_cell(WORKER) + layout.S_STACK_TAKEN_NS] = taken_ns

    leave(spin, 10**9)
    expected = (frame("/srv/shop.py", 15, "spin"),)
    assert last.of_loop(WORKER, 10**8) == dead.loop_frames(WORKER, 10**8) == expected
    assert (last.of_loop(WORKER, 9 * 10**8), last.of_loop(WORKER, 0), dead.loop_frames(WORKER, 0)) == ((), (), ())
    leave(f'{head}  File "/p/selectors.py", line 1 in f\n  File "/p/asyncio/base_events.py", line 1 in f\n', 2 * 10**9)
    assert last.of_loop(WORKER, 10**8) == ()
    fd = file.open_area(WORKER, CRASHED)
    os.write(fd, f"Fatal Python error: Aborted\n\n{spin}".encode())
    os.close(fd)
    assert dead.loop_frames(WORKER, 10**8) == expected
