"""What a master does about the dead, and what it leaves to others."""

import itertools
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from hvd.core import layout, postmortem
from hvd.core.block import Block
from hvd.core.own.store import own_store
from hvd.core.rows import Rows
from hvd.core.slots import Slots
from hvd.core.stacks import CRASHED, StackFile
from hvd.core.totals import Reader
from hvd.daemon.deaths import LOGGED, UNKNOWN_CAUSE, Settler, WorkerSlots, exit_cause
from hvd.daemon.stacks.workers import Stacks
from hvd.daemon.worker_process import HELD
from hvd.daemon.workers import HvdThreadWorker
from hvd.metrics.events import read_ends, read_events
from hvd.metrics.table import ABORTED, ENDS, EXITS, FAMILIES
from hvd.settings.table import SLOTS_SPARE
from tests.unit.core.support import FORMS, Watched, counts, dead_pid, ended, fork, forked, keeping_locked

log = logging.getLogger("test")
ME = os.getpid()


@pytest.fixture
def settler(block: Block) -> Settler:
    """This process's, as a master."""
    return Settler(block, log)


@pytest.fixture
def other_master() -> Iterator[int]:
    """A process that lives until the test ends."""
    with forked(signal.pause) as pid:
        yield pid


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "SIGKILL"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), "SIGTERM"),
        (lambda: os.kill(os.getpid(), signal.SIGRTMIN + 3), "signal 37"),
        (lambda: os._exit(7), "exit 7"),
    ],
)
def test_an_end_is_named_by_its_signal_or_its_status(end: Callable[[], None], cause: str) -> None:
    """A signal by its number where it has no name; one that nobody knows of is unknown."""
    assert exit_cause(os.waitid(os.P_PID, fork(end), os.WEXITED)) == cause
    assert exit_cause(None) == UNKNOWN_CAUSE


def test_a_death_at_work_is_counted_logged_and_kept(
    block: Block, settler: Settler, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, and the slot is free again; a control character of a path does not reach the log."""
    pid = dead_pid()
    number = Slots(block).claim(layout.KIND_WORKER, ME, pid)
    Rows(block, number, FAMILIES).mine().begin("GET", "/a\nb\x1b[2J")
    for _ in range(2):
        settler.settle_slot(number, pid, "timeout", "exit 1")
    assert counts(block, ABORTED.key) == {("timeout",): 1}
    assert counts(block, EXITS.key) == {("worker", "timeout"): 1}
    (entry,) = postmortem.read(block)
    assert (entry["pid"], entry["cause"], entry["signal"], entry["exit_status"]) == (pid, "timeout", None, 1)
    assert [(one["method"], one["path"]) for one in entry["requests"]] == [("GET", "/a\nb\x1b[2J")]
    (message,) = caplog.messages
    assert f"worker (pid:{pid}) died (timeout) with 1 request in progress: GET /a\\nb\\x1b[2J (" in message
    assert list(Slots(block).taken()) == []


def stack_of(*places: str) -> str:
    """The text of this thread's stack, with these lines of files."""
    lines = [
        f'  File "{file}", line {line} in {function}\n' for file, line, function in (one.split() for one in places)
    ]
    return f"Current thread 0x{threading.get_ident():016x} (most recent call first):\n" + "".join(lines)


@pytest.mark.parametrize("how", ["before it began", "since it began", "at a crash", "after its timeout"])
def test_a_death_tells_where_each_request_stood(
    block: Block, file: StackFile, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """By the stacks that were taken last since it began, or that the process has left at its crash."""
    pid = dead_pid()
    number = Slots(block).claim(layout.KIND_WORKER, ME, pid)
    taken_ns = time.monotonic_ns()
    Rows(block, number, FAMILIES).mine().begin("GET", "/x")
    file.write(number, stack_of("/lib/taken.py 3 wait", "/srv/app.py 7 view"))
    block.cells[block.layout.slot_cell(number) + layout.S_STACK_TAKEN_NS] = (
        taken_ns if how == "before it began" else time.monotonic_ns()
    )
    if how in ("at a crash", "after its timeout"):
        fd = file.open_area(number, CRASHED)
        os.write(fd, b"Fatal Python error: Aborted\n\n" + stack_of("/srv/app.py 8 crash").encode())
        os.close(fd)
    cause = {"at a crash": "SIGABRT", "after its timeout": "timeout"}.get(how, "SIGKILL")
    Settler(block, log, file).settle_slot(number, pid, cause)
    (entry,) = postmortem.read(block)
    (request,) = entry["requests"]
    taken = [
        {"file": "/lib/taken.py", "line": 3, "function": "wait"},
        {"file": "/srv/app.py", "line": 7, "function": "view"},
    ]
    crashed = [{"file": "/srv/app.py", "line": 8, "function": "crash"}]
    assert request["stack"] == {"before it began": [], "since it began": taken}.get(how, crashed)
    lines = [message for message in caplog.messages if "crashed" in message]
    assert [line.endswith("crashed (Aborted) at /srv/app.py:8 crash") for line in lines] == [True] * (
        how == "at a crash"
    )
    (line,) = [message for message in caplog.messages if "died" in message]
    where = {"before it began": "s)", "since it began": " at /lib/taken.py:3 wait"}.get(how, " at /srv/app.py:8 crash")
    assert line.endswith(where)


def test_an_idle_death_is_counted_only(block: Block, settler: Settler, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that ended as it should is no post-mortem."""
    pid = dead_pid()
    settler.settle_slot(Slots(block).claim(layout.KIND_WORKER, ME, pid), pid, "exit 0")
    assert counts(block, EXITS.key) == {("worker", "exit 0"): 1}
    assert (postmortem.read(block), caplog.messages) == ([], [])


def test_a_slot_that_has_changed_hands_is_left_alone(block: Block, settler: Settler) -> None:
    """Whoever has it now is alive, and so is its request."""
    number = Slots(block).claim(layout.KIND_WORKER, ME, ME)
    Rows(block, number, FAMILIES).mine().begin("GET", "/alive")
    settler.settle_slot(number, dead_pid(), "SIGKILL")
    assert counts(block, EXITS.key) == {}
    assert Reader(block).read().heads.in_flight == 1
    assert [slot.pid for slot in Slots(block).taken()] == [ME]


def test_a_worker_that_died_before_it_named_itself_is_buried(block: Block, settler: Settler) -> None:
    """Between the fork and its first line."""
    number = Slots(block).claim(layout.KIND_WORKER, ME)
    settler.settle_slot(number, dead_pid(), "SIGKILL")
    assert list(Slots(block).taken()) == []


def test_a_sweep_leaves_the_children_of_a_living_master_to_it(
    block: Block, settler: Settler, other_master: int
) -> None:
    """It reaps them and knows how they ended; dead or alive they are not ours."""
    slots = Slots(block)
    slots.claim(layout.KIND_WORKER, other_master, dead_pid())
    slots.claim(layout.KIND_WORKER, other_master, ME)
    slots.claim(layout.KIND_WORKER, other_master)
    settler.sweep(set())
    assert len(list(slots.taken())) == 3


def test_a_sweep_buries_what_a_dead_master_left(block: Block, settler: Settler) -> None:
    """Its dead children and the slots of children that it never forked, not those that still live."""
    slots, gone = Slots(block), dead_pid()
    slots.claim(layout.KIND_WORKER, gone, dead_pid())
    slots.claim(layout.KIND_WORKER, gone)
    alive = slots.claim(layout.KIND_WORKER, gone, ME)
    settler.sweep(set())
    assert [slot.number for slot in slots.taken()] == [alive]
    assert counts(block, EXITS.key) == {("worker", UNKNOWN_CAUSE): 2}


def test_a_sweep_settles_joined_processes_whose_master_is_nobody(block: Block, settler: Settler) -> None:
    """One that has said so has ended by itself."""
    slots, gone = Slots(block), dead_pid()
    slots.say_ready(slots.claim(layout.KIND_JOINED, gone, gone), -1)
    slots.claim(layout.KIND_JOINED, gone, gone)
    alive = slots.claim(layout.KIND_JOINED, os.getppid(), os.getppid())
    settler.sweep(set())
    assert [slot.number for slot in slots.taken()] == [alive]
    assert counts(block, EXITS.key) == {("joined", "exit"): 1, ("joined", UNKNOWN_CAUSE): 1}


def test_a_sweep_leaves_our_own_children_until_they_are_reaped(block: Block, settler: Settler) -> None:
    """What is still in gunicorn's table will be reported by its hook; what is not, won't."""
    slots, known, lost = Slots(block), dead_pid(), dead_pid()
    slots.claim(layout.KIND_WORKER, ME, known)
    slots.claim(layout.KIND_WORKER, ME, lost)
    slots.claim(layout.KIND_WORKER, ME)
    settler.sweep({known})
    assert [slot.pid for slot in slots.taken()] == [known, 0]


def test_a_slot_that_was_given_out_again_is_not_buried(block: Block, settler: Settler) -> None:
    """Its new process has no pid yet: the time at which it was taken tells it from the one that was meant."""
    slots = Slots(block)
    number = slots.claim(layout.KIND_WORKER, ME, dead_pid())
    stale = slots.get(number)
    assert stale
    slots.free(number)
    assert slots.claim(layout.KIND_WORKER, ME) == number
    settler.settle_slot(number, stale.pid, UNKNOWN_CAUSE, taken_ns=stale.taken_ns)
    assert slots.get(number)


class Killing:
    """Kills this process at the store that comes after so many."""

    def __init__(self, survived: int) -> None:
        self._left = survived

    def __call__(self, _: object) -> None:
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


def assert_each_has_one_cause(block: Block, aborted: int) -> None:
    assert Reader(block).read().heads.aborted == aborted
    assert sum(counts(block, ABORTED.key).values()) == aborted


@pytest.mark.parametrize(
    ("shared", "rows_module"),
    [(False, FORMS["as installed"]), (False, FORMS["in Python"]), (True, FORMS["in Python"])],
    ids=["own row, as installed", "own row, in Python", "shared row, in Python"],  # compiled, it can't be watched
)
def test_a_request_has_one_cause_wherever_its_worker_is_killed(
    block: Block, settler: Settler, shared: bool, rows_module: Any
) -> None:
    """After each store of the worker that gives it up: never more causes than requests, and in the end as many."""
    number, deaths = -1, 0

    def give_up(survived: int) -> None:
        rows = rows_module.Rows(block, number, FAMILIES)
        row, killing = rows.entry() if shared else rows.mine(), Killing(survived)
        row.begin("GET", "/x")
        for owner, name in ((row._sharing, "cells"), (row._sharing, "entries")) if shared else ((row, "_counts"),):
            setattr(owner, name, Watched(getattr(owner, name), killing))
        row.abandon("exception")
        os._exit(0)

    for survived in itertools.count():
        number = Slots(block).claim(layout.KIND_WORKER, ME)
        pid = fork(lambda survived=survived: give_up(survived))
        status = ended(pid)
        assert sum(counts(block, ABORTED.key).values()) <= Reader(block).read().heads.aborted <= survived + 1
        settler.settle_slot(number, pid, "SIGKILL")
        assert_each_has_one_cause(block, survived + 1)
        if not status:
            break
        deaths += 1
    assert deaths >= 3
    assert {cause for (cause,) in counts(block, ABORTED.key)} == {"exception", "SIGKILL"}


def test_a_request_has_one_cause_wherever_the_master_is_killed(block: Block, settler: Settler) -> None:
    """After each store of the master that reaps it: the next one finds what is left to do."""
    deaths = 0

    def reap(number: int, pid: int, survived: int) -> None:
        block.cells = Watched(block.cells, Killing(survived))  # type: ignore[assignment]
        Settler(block, log).settle_slot(number, pid, "SIGKILL")

    for survived in itertools.count():
        number, pid = Slots(block).claim(layout.KIND_WORKER, ME), dead_pid()
        Slots(block).name_process(number, pid)
        Rows(block, number, FAMILIES).mine().begin("GET", "/x")
        status = ended(fork(lambda number=number, pid=pid, survived=survived: reap(number, pid, survived)))
        assert sum(counts(block, ABORTED.key).values()) <= Reader(block).read().heads.aborted
        settler.settle_slot(number, pid, UNKNOWN_CAUSE)
        assert_each_has_one_cause(block, survived + 1)
        assert list(Slots(block).taken()) == []
        if not status:
            break
        deaths += 1
    assert deaths >= 8
    assert {cause for (cause,) in counts(block, ABORTED.key)} == {"SIGKILL", UNKNOWN_CAUSE}


def test_the_dead_wait_while_the_block_is_locked(
    block: Block, settler: Settler, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line each time, and no master that stands still; afterwards each is reaped, with the cause that it had."""
    monkeypatch.setattr("hvd.daemon.deaths.LOCK_WAIT", 0.05)
    pids = [dead_pid() for _ in range(2)]
    numbers = [Slots(block).claim(layout.KIND_WORKER, ME, pid) for pid in pids]
    with keeping_locked(block):
        for number, pid in zip(numbers, pids, strict=True):
            settler.settle_slot(number, pid, "SIGSEGV")
        settler.sweep(set())
        assert len(caplog.messages) == 2
        assert all("keeps block" in message and "put off" in message for message in caplog.messages)
        assert counts(block, EXITS.key) == {}
    settler.sweep(set())
    assert counts(block, EXITS.key) == {("worker", "SIGSEGV"): 2}
    assert list(Slots(block).taken()) == []


def test_a_death_names_all_that_one_thread_had_in_progress(
    block: Block, file: StackFile, caplog: pytest.LogCaptureFixture
) -> None:
    """The oldest first, which has the thread's stack; and how many there was no room for."""
    number, room = Slots(block).claim(layout.KIND_WORKER, ME), block.layout.entries

    def work() -> None:
        rows = Rows(block, number, FAMILIES)
        many = [rows.entry() for _ in range(room + 6)]
        for index, entry in enumerate(many):
            entry.begin("GET", f"/{index}")
        os.kill(os.getpid(), signal.SIGKILL)

    pid = fork(work)
    assert ended(pid) == -signal.SIGKILL
    file.write(number, stack_of("/srv/app.py 7 view"))
    block.cells[block.layout.slot_cell(number) + layout.S_STACK_TAKEN_NS] = time.monotonic_ns()
    Settler(block, log, file).settle_slot(number, pid, "SIGKILL")
    (entry,) = postmortem.read(block)
    assert (entry["aborted"], entry["requests_left_out"]) == (room + 6, 6)
    assert [request["path"] for request in entry["requests"]] == [f"/{index}" for index in range(room)]
    assert [len(request["stack"]) for request in entry["requests"]] == [1] + [0] * (room - 1)
    assert counts(block, ABORTED.key) == {("SIGKILL",): room + 6}
    assert "GET /0 (" in caplog.messages[-1]
    assert caplog.messages[-1].endswith(f", and {room + 6 - LOGGED} more")


@pytest.fixture
def workers(block: Block, settler: Settler, file: StackFile) -> WorkerSlots:
    return WorkerSlots(block, Slots(block), settler, Stacks(block, file, log, list))


def test_a_worker_that_could_not_be_forked_needs_no_slot(block: Block, workers: WorkerSlots) -> None:
    """And signals reach the master again."""
    worker: Any = HvdThreadWorker.__new__(HvdThreadWorker)
    first = own_store.first
    workers.before_fork(worker)
    fd = worker.dumps.dump_fd
    workers.before_fork(worker)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) >= HELD
    assert own_store.first(), "what the app counts there already waits for the worker's slot"
    assert [slot.number for slot in Slots(block).taken()] == [worker.hvd_slot]
    workers.after_fork(has_failed=True)
    assert own_store.first is first
    assert not HELD & signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert list(Slots(block).taken()) == []
    assert not os.path.exists(f"/proc/self/fd/{fd}")


@pytest.mark.parametrize(
    ("status", "aborted", "cause"),
    [(9, False, "SIGKILL"), (3 << 8, False, "exit 3"), (6, True, "timeout"), (None, False, "unknown")],
)
def test_an_end_is_counted_by_its_cause(
    block: Block, workers: WorkerSlots, status: int | None, aborted: bool, cause: str
) -> None:
    """What waitpid(2) told, unless the master ended the worker for its silence."""
    worker: Any = SimpleNamespace(pid=4711, aborted=aborted, hold_signals=lambda: None, let_signals=lambda: None)
    workers.before_fork(worker)
    workers.after_fork(has_failed=False)
    if status is not None:
        workers.note_status(worker.pid, status)
    workers.settle(worker)
    assert list(Slots(block).taken()) == []
    assert counts(block, EXITS.key) == {("worker", cause): 1}


@pytest.mark.parametrize(
    ("sent", "status", "aborted", "planned"),
    [
        ([], 9, False, False),
        ([signal.SIGTERM], 0, False, True),
        ([signal.SIGTERM], 9, False, False),  # by the OOM killer, as it ended
        ([signal.SIGTERM, signal.SIGKILL], 9, False, True),
        ([signal.SIGQUIT], signal.SIGALRM, False, True),
        ([signal.SIGUSR1], signal.SIGTERM, False, False),
        ([signal.SIGABRT, signal.SIGKILL], 9, True, False),  # gunicorn's timeout
        ([signal.SIGTERM], None, False, True),
    ],
)
def test_an_end_that_the_master_wanted_is_planned(
    block: Block, workers: WorkerSlots, sent: list[int], status: int | None, aborted: bool, planned: bool
) -> None:
    """Where it came by a signal that the master has sent, or in the time that it left."""
    worker: Any = SimpleNamespace(pid=4711, aborted=aborted, hold_signals=lambda: None, let_signals=lambda: None)
    workers.before_fork(worker)
    workers.after_fork(has_failed=False)
    Slots(block).say_ready(worker.hvd_slot, 4)
    for signum in sent:
        workers.note_signal(worker, signum)
    if status is not None:
        workers.note_status(worker.pid, status, 1 << 20)
    workers.settle(worker)
    assert read_ends(block) == {"planned": int(planned), "unplanned": int(not planned), "failed_boots": 0}
    assert counts(block, ENDS.key) == {("worker", "planned" if planned else "unplanned"): 1}
    assert [event["peak_bytes"] for event in read_events(block)] == [1 << 20] * (not planned)


def test_some_slots_are_left_for_a_reload(block: Block, workers: WorkerSlots) -> None:
    """At least one worker may be there, however few slots the block has."""
    assert workers.most == max(1, block.layout.slots - layout.COMPANION_SLOTS - SLOTS_SPARE)
