"""The stacks of one master's workers: taken when somebody asks, when a request is slow, and before a timeout's end."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.progress import Progress
from hvd.core.stacks import DUMPED, StackFile
from hvd.daemon.stacks.dumps import Dumps
from hvd.daemon.stacks.slow import SlowRequests
from hvd.daemon.stacks.slow_log import SlowLog
from hvd.daemon.stacks.take import Take
from hvd.read.frames import describe
from hvd.read.stacks import TROUBLE, LastStacks

VARIABLE = "_HVD_STACKS"  # not HVD_, which would make it a setting
LIMIT = 0.25  # s that the master's loop stands still at most, while it takes those of any number of workers
ASKED_LIMIT = 0.6  # s for a request of stacks, whose reader waits 1 s: on a busy machine C code computes slowly
PAUSE = 0.001  # s between two steps
SLOW_EVERY = 0.5  # s between two looks for slow requests
TAKE_EVERY = 1.0  # s between two takes of one worker that nobody has asked for
AFTER_TROUBLE = 10.0  # s until the next one, where that was in vain


class Stacks:
    """One master's. Used in its main thread."""

    def __init__(
        self, block: Block, file: StackFile, log: logging.Logger, workers: Callable[[], Iterable[Any]]
    ) -> None:
        """`workers` gives gunicorn's workers alive."""
        self._block, self._file, self._log, self._workers = block, file, log, workers
        self._last = LastStacks(block, file)
        self._slow = SlowRequests(block)
        self._slow_log = SlowLog(log)
        self._next_slow = 0.0
        self._trouble = ""

    def before_fork(self, worker: Any) -> None:
        """Give a worker that is about to be forked the place of its stacks, `worker.dumps`; None where it has none."""
        worker.dumps = None
        try:
            self._file.clear(worker.hvd_slot)
            fd = self._file.open_area(worker.hvd_slot, DUMPED)
        except OSError as error:
            if str(error) != self._trouble:
                self._log.warning("hvd: stacks of workers can't be taken: %s", error)
                self._trouble = str(error)
        else:
            worker.dumps = Dumps(self._file, worker.hvd_slot, fd)

    def enter_worker(self, worker: Any) -> None:
        """In the worker, after the fork."""
        for other in self._askable():
            if other is not worker:
                self.forget(other)
        if worker.dumps:
            try:
                worker.dumps.begin()
            except OSError as error:
                self._log.warning("hvd: this worker's stacks can't be taken: %s", error)

    def _askable(self) -> list[Any]:
        """The workers that can be asked."""
        return [worker for worker in self._workers() if getattr(worker, "dumps", None)]

    def forget(self, worker: Any) -> None:
        """The worker was reaped, or could not be forked."""
        dumps, worker.dumps = getattr(worker, "dumps", None), None
        if dumps:
            os.close(dumps.dump_fd)

    def take_wanted(self) -> None:
        """Take the stacks that were requested since the last time."""
        if wanted := [worker for worker in self._askable() if self._is_wanted(worker.hvd_slot, self._taken(worker))]:
            self.take(wanted, ASKED_LIMIT)

    def _is_wanted(self, slot: int, taken_ns: int) -> bool:
        return self._block.cells[self._block.layout.slot_cell(slot) + layout.S_STACK_WANTED_NS] > taken_ns

    def _taken(self, worker: Any) -> int:
        return self._block.cells[self._taken_cell(worker.hvd_slot)]

    def _taken_cell(self, slot: int) -> int:
        return self._block.layout.slot_cell(slot) + layout.S_STACK_TAKEN_NS

    def take_slow(self, seconds: float) -> None:
        """Take the stacks of workers whose requests have taken that long, once for each request, and log the requests;
        0: never.
        """
        now = time.monotonic()
        if not seconds or now < self._next_slow:
            return
        self._next_slow = now + SLOW_EVERY
        self._slow_log.end_minute(now)
        by_worker = ((worker, self._slow.find(worker.hvd_slot, seconds, now)) for worker in self._askable())
        slow = [(worker, requests) for worker, requests in by_worker if requests]
        troubles = self.take([worker for worker, _ in slow]) if slow else {}
        for worker, requests in slow:
            trouble = troubles.get(worker.hvd_slot, "")
            self._slow.note(worker.hvd_slot, requests, now + (AFTER_TROUBLE if trouble else TAKE_EVERY))
            self._log_slow(worker, requests, trouble)

    def _log_slow(self, worker: Any, requests: Sequence[Progress], trouble: str) -> None:
        for request in requests:
            stack = self._last.of_thread(worker.hvd_slot, request.thread, request.begin_ns)
            place = f"at {describe(stack.frames)}" if stack else trouble
            self._slow_log.add(worker.pid, request.text, (time.monotonic_ns() - request.begin_ns) / 1e9, place)

    def take(self, workers: Iterable[Any], limit: float = LIMIT) -> Mapping[int, str]:
        """Take the stacks of these workers, within `limit` s -> by slot, why there are none."""
        before = {worker.hvd_slot: self._taken(worker) for worker in workers if worker.dumps}
        for slot in before:
            self._block.cells[self._taken_cell(slot)] = 0  # nobody is to read a stack meanwhile
        takes = [
            Take(self._file, worker.hvd_slot, worker.pid, worker.dumps)
            for worker in workers
            if worker.hvd_slot in before
        ]
        running, deadline = takes, time.monotonic() + limit
        while running and time.monotonic() < deadline:
            time.sleep(PAUSE)
            running = [take for take in running if not take.step()]
        for take in running:
            take.give_up()
        for take in takes:
            self._note(take, before[take.slot])
        return {take.slot: take.trouble for take in takes if take.trouble}

    def _note(self, take: Take, before_ns: int) -> None:
        """Show readers what was taken; after a failure, the stacks before it or, to waiting readers, the reason."""
        taken_ns = take.began_ns
        if take.trouble and self._is_wanted(take.slot, before_ns):
            self._file.write(take.slot, f"{TROUBLE}{take.trouble}\n")
        elif take.trouble:
            taken_ns = before_ns
        self._block.cells[self._taken_cell(take.slot)] = taken_ns


def pass_file_on(file: StackFile, environ: MutableMapping[str, str]) -> None:
    """Pass the file on to the master that this process is about to execute with that environment (an upgrade)."""
    os.set_inheritable(file.fd, True)
    environ[VARIABLE] = f"{os.getpid()}:{file.fd}"


def receive_file(environ: MutableMapping[str, str]) -> StackFile:
    """The file that another master has passed on to this process, or a new one. Raises OSError."""
    pid, _, fd = environ.pop(VARIABLE, "").partition(":")
    if pid != str(os.getpid()):
        return StackFile()
    os.set_inheritable(int(fd), False)
    return StackFile(int(fd))
