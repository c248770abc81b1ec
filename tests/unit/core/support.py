"""Shared by the tests of the block: a small layout, forked processes, cells that tell of every store."""

import contextlib
import importlib.util
import itertools
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any
from unittest.mock import patch

import hvd.core.rows
from hvd.core import locks
from hvd.core.block import Block
from hvd.core.catalogue import Catalogue, Family
from hvd.core.durations import TIMED_CELLS
from hvd.core.layout import COMPANION_SLOTS, KIND_WORKER, Layout
from hvd.core.rows import Row, Rows
from hvd.core.slots import Slots
from hvd.core.totals import Reader
from hvd.metrics.table import FAMILIES, HTTP, error_of

SMALL = Layout(slots=COMPANION_SLOTS + 4, rows=4, series=20, run_cells=TIMED_CELLS)
PATIENCE = 20  # s that a thread or a process may take
WORKER = COMPANION_SLOTS
"""The first slot of a worker."""


def second(name: str, **instead: ModuleType | None) -> ModuleType:
    """A second module of hvd.core, made while `instead` stand for others of it (None: can't be imported)."""
    spec = importlib.util.find_spec(f"hvd.core.{name}")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with patch.dict(sys.modules, {f"hvd.core.{other}": stand_in for other, stand_in in instead.items()}):
        spec.loader.exec_module(module)
    return module


HOT_IN_PYTHON = second("hot", _hotrow=None)
IN_PYTHON = second("rows", hot=HOT_IN_PYTHON)
"""hvd.core.rows as it is where nothing could be compiled."""

FORMS = {"as installed": hvd.core.rows, "in Python": IN_PYTHON}
"""The rows module in each form that it may have."""


def catalogue_of(block: Block, *more: Family) -> Catalogue:
    """A process's view of the catalogue that knows these families beside hvd's own."""
    return Catalogue(block, (*FAMILIES.all, *more))


def own_rows(block: Block, kind: int = KIND_WORKER, form: ModuleType = hvd.core.rows) -> Rows:
    """The rows of a slot that this process takes."""
    rows: Rows = form.Rows(block, Slots(block).claim(kind, os.getpid(), os.getpid()), FAMILIES)
    return rows


def respond(row: Row, *labels: str) -> None:
    """A response under these labels; an error where the last one is a status of 400 or above."""
    row.respond(labels, error_of(labels[-1]))


def serve(row: Row, route: str = "/x", status: str = "200") -> None:
    """A request, from its begin to its end."""
    row.begin("GET", route)
    respond(row, "GET", route, status)
    row.finish()


def counts(block: Block, family: str = HTTP.key) -> dict[tuple[str, ...], int]:
    """The first cell of each series that has counted anything, by its labels."""
    totals = Reader(block).read()
    return {one.labels: totals.cells[one.offset] for one in totals.of(family) if totals.cells[one.offset]}


@contextlib.contextmanager
def in_threads(*works: Callable[[], object]) -> Iterator[None]:
    """Do each of these works in a thread of its own meanwhile, to its end."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(3 * PATIENCE)
        assert not thread.is_alive()


def in_thread(work: Callable[[], object]) -> None:
    """Do the work in a thread of its own, to its end."""
    with in_threads(work):
        pass


class Cycle:
    """Garbage that only the collector finds: what `left` has is dropped with it, and `work` done."""

    def __init__(self, work: Callable[[], object] = lambda: None, *left: object) -> None:
        self._work, self._left, self._self = work, left, self

    def __del__(self) -> None:
        self._work()


def fork(work: Callable[[], object]) -> int:
    """The pid of a child that does this work, and exits with 0 if it raised nothing."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc()  # pytest shows it where the test fails
        raise
    finally:
        sys.stderr.flush()
        os._exit(status)


def ended(pid: int) -> int:
    """The child's exit status as `os.waitstatus_to_exitcode` tells it, once it has ended."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@contextlib.contextmanager
def forked(work: Callable[[], object]) -> Iterator[int]:
    """The pid of a child that does this work; it is killed in the end."""
    pid = fork(work)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@contextlib.contextmanager
def standing(work: Callable[[], object]) -> Iterator[int]:
    """The pid of a child that has done this work, and stands still; it is killed in the end."""
    reader, writer = os.pipe()

    def stand() -> None:
        work()
        os.write(writer, b".")
        signal.pause()

    with forked(stand) as pid, open(reader, "rb") as done:
        os.close(writer)
        assert done.read(1), "the child has failed"
        yield pid


def keeping_locked(block: Block) -> contextlib.AbstractContextManager[int]:
    """Another process holds the mutation lock, and stands still; its pid."""
    return standing(lambda: locks.take(block.fd, PATIENCE))


def at_store(stores: int, end: Callable[[], object]) -> Callable[[object], None]:
    """For Watched: end the process, or what it does, right after so many stores."""
    number = itertools.count(1)

    def stored(_: object) -> None:
        if next(number) == stores:
            end()

    return stored


def kill() -> None:
    """This process, as SIGKILL does it."""
    os.kill(os.getpid(), signal.SIGKILL)


def dead_pid() -> int:
    """The pid of a process that has ended."""
    pid = fork(lambda: None)
    ended(pid)
    return pid


class Watched:
    """Stands for a memoryview, and calls `stored` after each store with its index: there another process may read."""

    def __init__(self, view: memoryview, stored: Callable[[Any], object]) -> None:
        self._view = view
        self._stored = stored

    def __getitem__(self, index: Any) -> Any:
        return self._view[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._view[index] = value
        self._stored(index)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view, name)

    def __buffer__(self, flags: int) -> memoryview:  # from Python 3.12 on
        return self._view


@contextlib.contextmanager
def no_descriptor() -> Iterator[None]:
    """This process can open nothing more meanwhile (EMFILE)."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
