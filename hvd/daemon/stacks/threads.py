"""What the kernel tells of a process's threads (proc(5), /proc/pid/task), and whether they stand still."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

COMPUTES = 20_000_000
"""ns of processor time without a pause, some times the interpreter's switch interval of 5 ms: a virtual machine counts
time as the thread's own that its host gave to others."""

RESTS = 1_000_000  # ns between two looks; to wait for the interpreter's lock takes 10 µs each 5 ms
WAITS = 2  # pauses: a thread that waits for the interpreter's lock looks each 5 ms whether it was let go

_FIELDS = re.compile(
    r"^State:\t(?P<state>\w)|^voluntary_ctxt_switches:\t(?P<pauses>\d+)"
    r"|^(?P<name>SigPnd|ShdPnd|SigBlk|SigCgt):\t(?P<mask>[0-9a-f]+)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Thread:
    """A thread at one moment: its state as proc(5) has it, its processor time in ns, how often it gave the processor
    up by itself, and masks of signals: pending for it or its process, blocked, caught.
    """

    state: str
    cpu_ns: int
    pauses: int
    pending: int
    blocked: int
    caught: int

    def has_pending(self, signum: int) -> bool:
        """True if that signal waits for the thread or its process."""
        return bool(self.pending & _bit(signum))

    def blocks(self, signum: int) -> bool:
        """True if the thread takes that signal later; also while it handles it."""
        return bool(self.blocked & _bit(signum))

    def catches(self, signum: int) -> bool:
        """True if the process has a handler of that signal."""
        return bool(self.caught & _bit(signum))


def _bit(signum: int) -> int:
    return 1 << signum - 1


def read_thread(pid: int, tid: int) -> Thread:
    """Raises OSError where it has ended, or can't be looked at."""
    with open(f"/proc/{pid}/task/{tid}/status", encoding="utf-8", errors="replace") as file:
        fields = list(_FIELDS.finditer(file.read()))
    masks = {match["name"]: int(match["mask"], 16) for match in fields if match["name"]}
    state = next((match["state"] for match in fields if match["state"]), "?")
    pauses = next((int(match["pauses"]) for match in fields if match["pauses"]), 0)
    pending = masks.get("SigPnd", 0) | masks.get("ShdPnd", 0)
    return Thread(state, _cpu_ns(pid, tid), pauses, pending, masks.get("SigBlk", 0), masks.get("SigCgt", 0))


def _cpu_ns(pid: int, tid: int) -> int:
    folder = f"/proc/{pid}/task/{tid}"
    try:
        with open(f"{folder}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[0])
    except FileNotFoundError:  # a kernel without CONFIG_SCHED_INFO
        with open(f"{folder}/stat", encoding="latin-1") as file:
            user, system = file.read().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) * 10**9 // os.sysconf("SC_CLK_TCK")


def read_threads(pid: int) -> dict[int, Thread]:
    """All threads of the process by their kernel ids; the first one's is its pid. Raises OSError where it is gone."""
    threads = {}
    for name in os.listdir(f"/proc/{pid}/task"):
        try:
            threads[int(name)] = read_thread(pid, int(name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return threads


class Watch:
    """Whether any thread of a process runs Python code, seen from outside, after its main thread was sent a signal for
    which Python code waits. While the main thread has not run that code, it is not running any, and:

    - a thread that sleeps, and has slept since the last look, runs none; nor does the main thread while it waits for
      the interpreter's lock, though it may wait for a processor in between;
    - a thread that has computed for COMPUTES without a pause runs none, if the main thread waits for the interpreter's
      lock: else it would have let it go after the switch interval of 5 ms, and then waited itself (Python/ceval_gil.c).

    So frames change nowhere, and can be read by a handler of a signal. It is not exact: a thread may wake at the next
    moment. An interpreter without that lock never counts as still while a thread beside the main one computes.
    """

    def __init__(self, main: int) -> None:
        self._main = main
        self._before: Mapping[int, Thread] = {}
        self._since: dict[int, Thread] = {}  # by thread, the look at which its newest pause was seen
        self._main_pauses = 0

    def stands_still(self, now: Mapping[int, Thread]) -> bool:
        """Look once more, some ms after the last time."""
        before, self._before = self._before, now
        if not before:
            self._main_pauses = now[self._main].pauses
        for tid, thread in now.items():
            if tid not in self._since or self._since[tid].pauses != thread.pauses:
                self._since[tid] = thread
        return all(tid in before and self._is_still(tid, before[tid], thread) for tid, thread in now.items())

    def _is_still(self, tid: int, before: Thread, now: Thread) -> bool:
        is_main = tid == self._main
        main_waits = self._before[self._main].pauses - self._main_pauses >= WAITS
        if now.state in "SD" or (is_main and main_waits):  # which has no processor each time that it wants to look
            return now.cpu_ns - before.cpu_ns < RESTS
        return now.cpu_ns - self._since[tid].cpu_ns >= COMPUTES and (is_main or main_waits)
