"""`/api/v1/stacks`: where each thread of the workers stands in its code. The admin server alone has it.

A stack is taken by the process's master, which has to be woken (hvd/daemon/stacks/workers.py).
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import TypedDict

import falcon

from hvd.companion.log import wake_master
from hvd.core import layout
from hvd.core.block import Block
from hvd.core.progress import Progress, read_progress
from hvd.core.slots import Slot, Slots
from hvd.read.frames import Frame
from hvd.read.requests import Request, request_of
from hvd.read.stacks import LastStacks, SlotStacks, ThreadStack
from hvd.web.here import Here
from hvd.web.resources import negotiate, send_json

WAIT = 1.0  # s that stacks are waited for
PAUSE = 0.002  # s between two looks whether they are there
ENDED = "it has ended"


class ThreadAnswer(TypedDict):
    """A thread: its threading.get_ident(), and the request that it serves."""

    thread: int
    is_current: bool
    request: Request | None
    frames: Sequence[Frame]


class ProcessAnswer(TypedDict):
    """A worker; `error` says why there are no stacks of it, and is null where there are."""

    pid: int
    slot: int
    kind: str
    taken_age_seconds: float | None
    error: str | None
    threads: list[ThreadAnswer]


class StacksAnswer(TypedDict):
    """The answer."""

    processes: list[ProcessAnswer]


def wake_any(master: int) -> None:
    """Wake that master: our own by a packet, which needs no rights; another one, in an upgrade, by a signal."""
    if master == os.getppid():
        wake_master()
        return
    with contextlib.suppress(OSError):
        os.kill(master, signal.SIGCHLD)


class Stacks:
    """The stacks of all workers, or of the one that `?pid=` names, taken now."""

    def __init__(self, here: Here) -> None:
        self._here = here

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        negotiate(req, [falcon.MEDIA_JSON])
        pid = req.get_param_as_int("pid", min_value=1, max_value=2**31 - 1)
        answer: StacksAnswer = {"processes": self._ask(pid)}
        send_json(req, resp, answer)

    on_head = on_get

    def _ask(self, pid: int | None) -> list[ProcessAnswer]:
        block, last = self._here.parts.block, self._here.parts.reader.stacks
        workers = [slot for slot in Slots(block).taken() if slot.kind == layout.KIND_WORKER and slot.pid]
        if pid is not None:
            workers = [slot for slot in workers if slot.pid == pid]
            if not workers:
                raise falcon.HTTPNotFound(description=f"{pid} is no worker of this daemon: /status lists them.")
        return ask(block, last, workers, wake_any)


def ask(block: Block, last: LastStacks, workers: Sequence[Slot], wake: Callable[[int], None]) -> list[ProcessAnswer]:
    """The stacks of these workers, as taken within WAIT from now. A slot that changes hands meanwhile has those of
    another process; its answer says that it has ended.
    """
    slots, deadline = Slots(block), time.monotonic() + WAIT
    wanted = {worker.number: slots.want_stacks(worker.number) for worker in workers}
    for master in {worker.master for worker in workers}:
        wake(master)
    stacks = {number: SlotStacks() for number in wanted}
    waiting = list(wanted)
    while waiting and time.monotonic() < deadline:
        time.sleep(PAUSE)
        for number in waiting:  # once they are there: the next request may have them taken anew at any moment
            stacks[number] = last.of_slot(number)
        waiting = [number for number in waiting if stacks[number].taken_ns < wanted[number]]
        ended = {worker.number for worker in workers if not _has_slot(slots, worker)}
        stacks |= dict.fromkeys(ended, SlotStacks(trouble=ENDED))
        waiting = [number for number in waiting if number not in ended]
    return [_process(block, worker, stacks[worker.number], wanted[worker.number]) for worker in workers]


def _has_slot(slots: Slots, worker: Slot) -> bool:
    slot = slots.get(worker.number)
    return slot is not None and slot.taken_ns == worker.taken_ns


def _process(block: Block, worker: Slot, stacks: SlotStacks, wanted_ns: int) -> ProcessAnswer:
    now = time.monotonic_ns()
    progress = sorted(read_progress(block, worker.number), key=lambda request: -request.begin_ns)
    requests = {request.thread: request for request in progress}  # the oldest, where a thread serves many
    is_new = stacks.taken_ns >= wanted_ns and not stacks.trouble
    late = f"its master has not taken them within {WAIT:g} s: it is stopped, or has no processor"
    return {
        "pid": worker.pid,
        "slot": worker.number,
        "kind": worker.kind_name,
        "taken_age_seconds": round((now - stacks.taken_ns) / 1e9, 3) if stacks.threads else None,
        "error": None if is_new else stacks.trouble or late,
        "threads": [_thread(stack, requests.get(stack.thread), stacks.taken_ns) for stack in stacks.threads],  # nosec B113
    }


def _thread(stack: ThreadStack, progress: Progress | None, taken_ns: int) -> ThreadAnswer:
    """With the request that its thread serves, if it did so when the stack was taken."""
    request = None
    if progress and progress.begin_ns <= taken_ns:
        request = request_of(progress.text, (time.monotonic_ns() - progress.begin_ns) / 1e9)
    return {
        "thread": stack.thread,
        "is_current": stack.is_current,
        "request": request,
        "frames": stack.frames,
    }
