"""Where the requests of an event loop stand: each is served in a task, whose coroutines await one another."""

import asyncio
import gc
import sys
import time
import types
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from types import FrameType
from typing import Any

from hvd.core.progress import read_progress
from hvd.core.rows import Rows
from hvd.daemon.stacks.dumps import Stack, back
from hvd.instrument.asgi import CountedAsgi, HttpExchange
from hvd.instrument.reports import EXCHANGE

REQUESTS, FRAMES = 128, 30  # the oldest ones, whose stacks are given, and how much of each: what is read has its bounds
LONGEST = 0.03  # s that the loop stands still for it, give or take a task: some thousand tasks
DEEPEST = 200  # that a task's coroutines are followed

_COUNTED = CountedAsgi.__call__.__code__
_IN_THREAD = "run_sync_in_worker_thread"
"""anyio's coroutine that waits for what it runs in a thread, its local variable `worker` (read in anyio 4.16)."""


class TaskStacks:
    """Those of the requests that count in `rows`, each by the number that it has for a thread.

    A request waits where its task's innermost coroutine does, or is at the loop's frame, where that task is running.
    One that is served in several tasks has the stack of one of these. What can't be found, or not within LONGEST, has
    none.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, rows: Rows) -> None:
        rows.tell_entries_apart()
        self._loop, self._rows = loop, rows

    def frames(self, current: FrameType | None) -> dict[int, Stack]:
        """In the loop's thread, at any point of it, `current`."""
        progress = sorted(read_progress(self._rows.block, self._rows.slot), key=lambda request: request.begin_ns)
        wanted = {request.thread for request in progress[:REQUESTS]}
        running, end = asyncio.current_task(self._loop), time.monotonic() + LONGEST
        best: dict[int, tuple[tuple[bool, bool, int], list[FrameType]]] = {}
        for task in sorted(asyncio.all_tasks(self._loop), key=lambda task: task is not running):
            is_running = task is running
            if is_running:
                ident, frames, depth = _served(reversed(list(back(current))), None)
            else:
                ident, frames, depth = _served(_awaiting(task.get_coro()), wanted)
            if ident:
                is_inner = all(frame.f_code is not _COUNTED for frame in frames)  # a task that the app made for it
                rank = is_running, is_inner, depth
                if ident not in best or rank > best[ident][0]:
                    best[ident] = rank, frames
            if time.monotonic() > end:
                break
        whole = {ident: chain(_in_thread(frames[-1]), reversed(frames)) for ident, (_, frames) in best.items()}
        return {ident: islice(stack, FRAMES) for ident, stack in whole.items()}


def _served(frames: Iterable[FrameType], wanted: set[int] | None) -> tuple[int, list[FrameType], int]:
    """Which of the wanted requests (None: of all) these frames serve; all of them, the outermost first; and how many
    there are from that on which has the request: those before are of whatever made the task.
    """
    outermost_first: list[FrameType] = []
    ident = before = 0
    for frame in frames:
        if not ident and (exchange := _exchange(frame)):
            ident, before = id(exchange.row), len(outermost_first)
            if exchange.row is None or (wanted is not None and ident not in wanted):
                return 0, [], 0
        outermost_first.append(frame)
    return ident, outermost_first, len(outermost_first) - before


def _exchange(frame: FrameType) -> HttpExchange | None:
    """The exchange of the request whose scope the frame has."""
    scope = _local(frame, "scope")
    exchange = scope.get(EXCHANGE) if isinstance(scope, dict) else None
    return exchange if isinstance(exchange, HttpExchange) else None


def _local(frame: FrameType, name: str) -> Any:
    code = frame.f_code
    return frame.f_locals.get(name) if name in code.co_varnames or name in code.co_freevars else None


def _awaiting(awaited: Any) -> Iterator[FrameType]:
    """The frames of what a task runs, the outermost one first."""
    for _ in range(DEEPEST):
        if isinstance(awaited, types.CoroutineType):
            frame, awaited = awaited.cr_frame, awaited.cr_await
        elif isinstance(awaited, types.GeneratorType):
            frame, awaited = awaited.gi_frame, awaited.gi_yieldfrom
        elif isinstance(awaited, types.AsyncGeneratorType):
            frame, awaited = awaited.ag_frame, awaited.ag_await
        elif isinstance(awaited, asyncio.Task):
            frame, awaited = None, awaited.get_coro()
        else:
            frame, awaited = None, _within(awaited)
        if frame:
            yield frame
        if awaited is None:
            return


_FOLLOWED = types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType, asyncio.Task


def _within(awaited: Any) -> Any:
    """What a built-in iterator waits for: a task, or a step of an asynchronous generator."""
    return next((inner for inner in gc.get_referents(awaited) if isinstance(inner, _FOLLOWED)), None)


def _in_thread(frame: FrameType) -> Stack:
    """The frames of the thread for which this one waits."""
    worker = _local(frame, "worker") if frame.f_code.co_name == _IN_THREAD else None
    return back(sys._current_frames().get(getattr(worker, "ident", None) or 0))
