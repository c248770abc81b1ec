"""What the workers do at this moment: how many threads they have, how many are busy, and with what.

Read from the slot table and the heads of the rows, without adding anything up: some 10 µs a worker.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypedDict

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.proc import is_stopped
from hvd.core.progress import read_progress
from hvd.core.slots import Slot, Slots
from hvd.metrics.clients import HELD, QUEUED
from hvd.read.frames import Frame, is_waiting_loop
from hvd.read.requests import Request, request_of
from hvd.read.stacks import LOOP_PERIOD, LastStacks, Stack

LONGEST = 10  # requests in progress that are shown, the oldest ones


class WaitingClients(TypedDict):
    """Connections, by what their worker waits for, see hvd/metrics/clients.py. In the order of the cells S_CLIENTS."""

    silent: int
    half_head: int
    half_body: int
    unread: int
    idle: int


class LongRequest(Request):
    """A request in progress, its worker, and where its thread stands, innermost first, if that was looked at since the
    request began, so many seconds ago. Empty too where the thread's event loop had nothing to do then.
    """

    pid: int
    slot: int
    stack: Sequence[Frame]
    stack_age_seconds: float | None


@dataclass(frozen=True)
class OpenRequest:
    """A request in progress in a worker: when it began (monotonic ns), method and path, and its thread, which may serve
    others too. `number` is 1, but of the newest where a worker can name no more: it stands for those too.
    """

    pid: int
    slot: int
    taken_ns: int
    begin_ns: int
    text: str
    number: int = 1
    thread: int = 0


@dataclass(frozen=True)
class WorkerState:
    """A worker that lives and has booted: its slot, since when it has it (monotonic ns), how many threads it has, its
    cells S_CLIENTS (hvd/metrics/clients.py), and what it has in progress. Of a worker that ends, only the threads that
    are still busy count: a reload's old workers must not make the new ones look idle. `loop_ns` and `loop_lag_ns` are
    the cells S_LOOP_NS and S_LOOP_LAG_NS, `loop_frames` where it stands: of a loop that does not turn. A signal stops
    a worker that `is_stopped`.
    """

    slot: int
    taken_ns: int
    threads: int
    clients: Sequence[int]
    requests: Sequence[OpenRequest]
    loop_ns: int = 0
    loop_lag_ns: int = 0
    pid: int = 0
    loop_frames: Sequence[Frame] = ()
    is_stopped: bool = False

    @property
    def tenure(self) -> tuple[int, int]:
        """Which process it is: a slot is taken again and again."""
        return self.slot, self.taken_ns

    def loop_stands(self, at_ns: int) -> float:
        """For how many s its event loop has not turned though it was to."""
        return max(0, at_ns - self.loop_ns - round(LOOP_PERIOD * 1e9)) / 1e9 if self.loop_ns else 0.0

    def loop_lag(self, at_ns: int) -> float | None:
        """For how many s its event loop has not turned, or how late it was of late; None where there is none."""
        if not self.loop_ns:
            return None
        return max(self.loop_lag_ns / 1e9, self.loop_stands(at_ns))

    @property
    def queued(self) -> int:
        """Requests that have come in, and wait for a thread."""
        return self.clients[QUEUED]

    @property
    def in_progress(self) -> int:
        return sum(request.number for request in self.requests)

    @property
    def busy(self) -> int:
        """Threads that serve a request, or wait for the rest of one; more can't be busy than there are."""
        return min(self.threads, self.in_progress + self.clients[HELD])


@dataclass(frozen=True)
class Service:
    """The workers at one moment (monotonic ns), of both masters during an upgrade; `booting` is how many more live and
    serve nothing yet, `joined` how many other processes count beside them, `stacks` where the threads of the oldest
    requests were when somebody looked since they began.
    """

    at_ns: int
    workers: Sequence[WorkerState] = ()
    booting: int = 0
    stacks: Mapping[OpenRequest, Stack] = field(default_factory=dict)
    joined: int = 0

    @property
    def stopped(self) -> list[int]:
        """Pids of the workers that a signal has stopped."""
        return [worker.pid for worker in self.workers if worker.is_stopped]

    @cached_property
    def threads(self) -> int:
        """How many requests can be served at once."""
        return sum(worker.threads for worker in self.workers)

    @cached_property
    def busy(self) -> int:
        """How many threads are busy."""
        return sum(worker.busy for worker in self.workers)

    @property
    def queued(self) -> int:
        """Requests that have come in, and wait for a thread of their worker."""
        return sum(worker.queued for worker in self.workers)

    @property
    def event_loop_lag_seconds(self) -> float | None:
        """How late the event loop of a worker is, the latest of all; None where no worker has one."""
        return self.latest_loop.loop_lag(self.at_ns) if self.latest_loop else None

    @cached_property
    def latest_loop(self) -> WorkerState | None:
        """The worker whose event loop is that late; None where none has one."""
        have_one = (worker for worker in self.workers if worker.loop_ns)
        return max(have_one, key=lambda worker: worker.loop_lag(self.at_ns) or 0.0, default=None)

    @property
    def is_all_busy(self) -> bool:
        return self.busy >= self.threads > 0

    @cached_property
    def requests(self) -> Sequence[OpenRequest]:
        """In progress, the oldest first."""
        requests = (request for worker in self.workers for request in worker.requests)
        return sorted(requests, key=lambda request: request.begin_ns)

    def age(self, request: OpenRequest) -> float:
        """For how many seconds it has been in progress."""
        return max(0, self.at_ns - request.begin_ns) / 1e9

    @property
    def ages_ns(self) -> list[int]:
        """The age of each request in progress; those that a worker can't name count as the newest that it does."""
        return [self.at_ns - request.begin_ns for request in self.requests for _ in range(request.number)]

    @property
    def open_by_method(self) -> Mapping[str, int]:
        """How many are in progress of each method, as far as it is known."""
        methods: Counter[str] = Counter()
        for request in self.requests:
            methods[request_of(request.text, 0)["method"]] += request.number
        return methods

    @property
    def longest_seconds(self) -> float:
        """The age of the oldest request in progress; 0.0 where there is none."""
        return self.age(self.requests[0]) if self.requests else 0.0

    @property
    def all_busy_seconds(self) -> float:
        """For how long all threads have been busy, as far as the requests in progress prove it: since the youngest one
        began. 0.0 where a thread is free, or has no request yet.
        """
        are_serving = self.threads > 0 and all(worker.in_progress >= worker.threads for worker in self.workers)
        return self.age(self.requests[-1]) if are_serving else 0.0

    @property
    def waiting_clients(self) -> WaitingClients:
        """Of all workers together."""
        silent, half_head, half_body, unread, idle = (
            sum(worker.clients[kind] for worker in self.workers) for kind in range(len(WaitingClients.__annotations__))
        )
        return {"silent": silent, "half_head": half_head, "half_body": half_body, "unread": unread, "idle": idle}

    def longest_requests(self) -> list[LongRequest]:
        """The oldest ones in progress, LONGEST at most."""
        return [self._long_request(request, self.stacks.get(request)) for request in self.requests[:LONGEST]]

    def _long_request(self, request: OpenRequest, stack: Stack | None) -> LongRequest:
        return {
            **request_of(request.text, self.age(request)),
            "pid": request.pid,
            "slot": request.slot,
            "stack": list(stack.frames) if stack and not is_waiting_loop(stack.frames) else [],
            "stack_age_seconds": round(max(0, self.at_ns - stack.taken_ns) / 1e9, 3) if stack else None,
        }


def read_service(block: Block, stacks: LastStacks | None = None) -> Service:
    """What the workers do now, with the stacks that were taken last. Safe in any process."""
    slots = Slots(block)
    slots_in_use = (slots.get(number) for number in range(layout.COMPANION_SLOTS, block.layout.slots))
    alive = [slot for slot in slots_in_use if slot and slot.is_alive()]
    forked = [slot for slot in alive if slot.kind == layout.KIND_WORKER]
    workers = [_state(block, slot, stacks) for slot in forked if slot.threads]
    joined = sum(slot.kind == layout.KIND_JOINED for slot in alive)
    service = Service(time.monotonic_ns(), workers, len(forked) - len(workers), joined=joined)
    return replace(service, stacks=_stacks(service, stacks)) if stacks and service.requests else service


def _stacks(service: Service, last: LastStacks) -> dict[OpenRequest, Stack]:
    """Of the oldest requests, those that were taken since they began."""
    oldest = service.requests[:LONGEST]
    of_threads = {(request.slot, request.thread): request for request in reversed(oldest)}  # of several the oldest
    stacks = ((request, last.of_thread(*thread, request.begin_ns)) for thread, request in of_threads.items())
    return {request: stack for request, stack in stacks if stack}


def _state(block: Block, slot: Slot, stacks: LastStacks | None) -> WorkerState:
    requests = [
        OpenRequest(slot.pid, slot.number, slot.taken_ns, row.begin_ns, row.text, row.number, row.thread)
        for row in read_progress(block, slot.number)
    ]
    frames = stacks.of_loop(slot.number, slot.loop_ns) if stacks else ()
    loop = slot.loop_ns, slot.loop_lag_ns, slot.pid, frames, is_stopped(slot.pid)
    state = WorkerState(slot.number, slot.taken_ns, abs(slot.threads), slot.clients, requests, *loop)
    return state if slot.threads > 0 else replace(state, threads=state.busy)
