"""Stacks of threads: read from the text that a process left of them, and found again by their thread.

The text has the form of CPython's faulthandler (Python/traceback.c, 3.11 to 3.14), also where hvd wrote it: "Thread 0x…
(most recent call first):", from 3.14 on with the thread's name, then a line for each frame, innermost first.
"""

import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.slots import Entry
from hvd.core.stacks import CRASHED, StackFile
from hvd.read.frames import Frame, is_waiting_loop

LOOP_PERIOD = 0.25  # s from one turn of a worker's event loop that it notes to the next

FRAMES = 30
"""Frames of a thread that are shown at most, from the innermost on."""

TROUBLE = "hvd: "
"""What stands in the place of stacks begins with this: why there are none."""

_THREAD = re.compile(r"(?P<current>Current thread|Thread) 0x(?P<ident>[0-9a-f]+)( \[.*\])? \(most recent call first\):")
_FRAME = re.compile(r'  File ("(?P<file>.*)"|\?\?\?), line (?P<line>\d+|\?\?\?) in (?P<function>.*)')
_ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")
_UNKNOWN = "???"
_FATAL = "Fatal Python error: "


@dataclass(frozen=True)
class ThreadStack:
    """A thread's frames, innermost first; `thread` is its threading.get_ident()."""

    thread: int
    is_current: bool
    frames: tuple[Frame, ...]


def parse(text: str) -> list[ThreadStack]:
    """The threads of a dump. What is no thread and no frame is passed over: a dump may be cut off anywhere."""
    threads: list[tuple[re.Match[str], list[Frame]]] = []
    for line in text.split("\n"):
        if header := _THREAD.fullmatch(line):
            threads.append((header, []))
        elif not line.startswith(" "):
            continue
        elif threads and (match := _FRAME.fullmatch(line)) and len(threads[-1][1]) < FRAMES:
            threads[-1][1].append(_frame(match))
    return [
        ThreadStack(int(header["ident"], 16), header["current"] != "Thread", tuple(frames))
        for header, frames in threads
    ]


def _frame(match: re.Match[str]) -> Frame:
    line = match["line"]
    return {
        "file": _unescaped(match["file"] or _UNKNOWN),
        "line": int(line) if line != _UNKNOWN else 0,
        "function": _unescaped(match["function"]),
    }


def _unescaped(text: str) -> str:
    """faulthandler escapes what is not ASCII, and no backslash: an escape of an ASCII character was no escape."""

    def character(match: re.Match[str]) -> str:
        code = int(match[1][1:], 16)
        is_escape = 0x7E < code < 0x110000 and not 0xD800 <= code < 0xE000
        return chr(code) if is_escape else match[0]

    return _ESCAPE.sub(character, text)


@dataclass(frozen=True)
class Crash:
    """What a process left when it crashed: why, as "Segmentation fault", and its threads, where it had the time."""

    reason: str
    threads: Sequence[ThreadStack]
    text: str

    @property
    def frames(self) -> tuple[Frame, ...]:
        """Of the thread that crashed."""
        return next((thread.frames for thread in self.threads if thread.is_current), ())


def read_crash(file: StackFile, slot: int) -> Crash | None:
    """The crash of the process that has the slot, or had it last; None where it has not crashed."""
    text = file.read(slot, CRASHED)
    reason = text.partition("\n")[0].removeprefix(_FATAL)
    return Crash(reason, parse(text), text) if text.startswith(_FATAL) else None


def _frames_of(threads: Iterable[ThreadStack], ident: int) -> tuple[Frame, ...]:
    """The frames of the thread with this threading.get_ident(); none where it has none."""
    return next((stack.frames for stack in threads if stack.thread == ident), ())


@dataclass(frozen=True)
class SlotStacks:
    """What was taken last of a slot's process, and when (monotonic ns; 0: nothing yet, or it is being done). `trouble`
    says why there are no threads, where somebody had asked for them.
    """

    taken_ns: int = 0
    threads: Sequence[ThreadStack] = ()
    trouble: str = ""


_NOTHING = SlotStacks()


@dataclass(frozen=True)
class Stack:
    """A thread's frames, innermost first, as they were `taken_ns` (monotonic)."""

    taken_ns: int
    frames: tuple[Frame, ...]


class LastStacks:
    """The stacks that were taken last of each slot's process. A text is parsed once. Thread-safe."""

    def __init__(self, block: Block, file: StackFile | None) -> None:
        """Without a file there are none."""
        self._block, self._file = block, file
        self._parsed: dict[int, SlotStacks] = {}
        self._lock = threading.Lock()

    def of_slot(self, slot: int) -> SlotStacks:
        """All threads of the slot's process."""
        cell = self._block.layout.slot_cell(slot) + layout.S_STACK_TAKEN_NS
        stamp = self._block.cells[cell]
        if not stamp or self._file is None:
            return _NOTHING
        with self._lock:
            if self._parsed.get(slot, _NOTHING).taken_ns != stamp:
                text = self._file.read(slot)
                if self._block.cells[cell] != stamp:
                    return _NOTHING
                trouble = text.removeprefix(TROUBLE).strip() if text.startswith(TROUBLE) else ""
                self._parsed[slot] = SlotStacks(stamp, parse(text), trouble)
            return self._parsed[slot]

    def of_loop(self, slot: int, turned_ns: int) -> Sequence[Frame]:
        """Of the thread that runs the slot's event loop, the main one, if they were taken while that, which turned last
        at that moment (monotonic ns; 0: there is none), was late to turn again; () of one that had nothing to do.
        """
        last = self.of_slot(slot)
        if not turned_ns or last.taken_ns < turned_ns + round(LOOP_PERIOD * 1e9):
            return ()
        frames = next((stack.frames for stack in last.threads if stack.is_current), ())
        return () if is_waiting_loop(frames) else frames

    def of_thread(self, slot: int, thread: int, since_ns: int) -> Stack | None:
        """The frames of the thread with this threading.get_ident(); None unless they were taken after that moment
        (monotonic ns). Some 2 µs where the slot's were asked for before.
        """
        last = self.of_slot(slot)
        if not thread or last.taken_ns < since_ns:
            return None
        frames = _frames_of(last.threads, thread)
        return Stack(last.taken_ns, frames) if frames else None


class StacksOfDead:
    """Where the threads of a dead process stood. One thread uses it."""

    def __init__(self, block: Block, file: StackFile | None) -> None:
        """Without a file nobody knows."""
        self._file, self._last = file, LastStacks(block, file)

    def crash(self, slot: int) -> Crash | None:
        """What it left when it crashed."""
        return read_crash(self._file, slot) if self._file else None

    def frames(self, slot: int, entry: Entry) -> Sequence[Frame]:
        """Of a request's thread: at the crash, or when its stacks were taken last since the request began."""
        crash = self.crash(slot) if entry.thread else None
        if crash and (frames := _frames_of(crash.threads, entry.thread)):
            return frames
        last = self._last.of_thread(slot, entry.thread, entry.begin_ns)
        return last.frames if last else ()

    def loop_frames(self, slot: int, turned_ns: int) -> Sequence[Frame]:
        """Of its event loop, which turned last at that moment (0: it has none), where that stood still."""
        crash = self.crash(slot) if turned_ns else None
        return crash.frames if crash else self._last.of_loop(slot, turned_ns)
