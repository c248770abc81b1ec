"""Where requests stand that an event loop serves: each at its own place, in whatever it waits for."""

import asyncio
import inspect
import sys
import threading
import time
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import anyio.to_thread
import pytest
from starlette.middleware.base import BaseHTTPMiddleware

from hvd.core.block import Block
from hvd.core.progress import read_progress
from hvd.core.rows import Rows
from hvd.daemon.stacks.tasks import REQUESTS, TaskStacks
from hvd.instrument import asgi
from hvd.instrument.asgi import counted_asgi
from hvd.instrument.counting import Counting
from tests.support.waiting import PATIENCE
from tests.unit.core.support import WORKER, own_rows

Serve = Callable[[], Awaitable[Any]]


@pytest.fixture
def rows(block: Block, monkeypatch: pytest.MonkeyPatch) -> Rows:
    """Where what is counted from now on counts."""
    rows, counting = own_rows(block), Counting()
    counting.fill(rows)
    monkeypatch.setattr(asgi, "counting", counting)
    monkeypatch.setattr("hvd.daemon.stacks.tasks.LONGEST", 10)  # the machine may have others to serve
    return rows


def places(
    rows: Rows, ways: dict[str, Serve], middleware: bool = False, wait: Callable[[], object] = lambda: None
) -> dict[str, list[str]]:
    """Serve a request in each way, until all wait -> the functions at which each stands, but for the loop's own."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/parts":
            await asyncio.gather(part(scope), part(scope))
        await ways[scope["path"]]()

    async def look() -> dict[str, list[str]]:
        stacks = TaskStacks(asyncio.get_running_loop(), rows)
        counted: Any = counted_asgi(BaseHTTPMiddleware(app, lambda request, go: go(request)) if middleware else app)
        scopes = [{"type": "http", "method": "GET", "path": path, "headers": []} for path in ways]
        tasks = [asyncio.create_task(counted(scope, asyncio.Queue().get, None)) for scope in scopes]
        deadline, turns = time.monotonic() + 10 * PATIENCE, 0
        while turns < 100 or not all(map(is_waiting, {*asyncio.all_tasks()} - {asyncio.current_task()})):
            assert time.monotonic() < deadline, "not each task has come to where it waits"
            await asyncio.sleep(0)
            turns += 1
        wait()
        found = stacks.frames(inspect.currentframe())
        text = {request.thread: request.text for request in read_progress(rows.block, WORKER)}
        names = {text[ident]: [frame.f_code.co_name for frame in stack] for ident, stack in found.items()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not stacks.frames(inspect.currentframe())
        return {request.split()[1]: functions for request, functions in names.items()}

    return asyncio.run(look())


def is_waiting(task: "asyncio.Task[Any]") -> bool:
    """Whether it has begun, and stands at an await."""
    return getattr(task.get_coro(), "cr_await", None) is not None


async def sleep_deep() -> None:
    await asyncio.sleep(60)


async def pieces() -> AsyncIterator[bytes]:
    yield b""
    await sleep_deep()


async def stream() -> None:
    async for _ in pieces():
        pass


async def part(scope: Any) -> None:
    await sleep_deep()


async def in_task() -> None:
    await asyncio.create_task(sleep_deep())


@types.coroutine
def old() -> Iterator[Any]:
    yield from sleep_deep().__await__()


async def in_old() -> None:
    await old()


async def wait_here() -> None:
    await asyncio.Event().wait()


WAYS: dict[str, Serve] = {
    "/deep": sleep_deep,
    "/parts": sleep_deep,
    "/stream": stream,
    "/task": in_task,
    "/old": in_old,
    "/wait": wait_here,
}


@pytest.mark.parametrize("middleware", [False, True], ids=["one task", "a task of a middleware's"])
def test_each_request_is_where_it_waits(rows: Rows, middleware: bool) -> None:
    """Through asynchronous generators, tasks and generators; a middleware that serves in another task hides nothing."""
    found = places(rows, WAYS, middleware)
    assert found.keys() == WAYS.keys()
    for path, function in ("/parts", "part"), ("/stream", "pieces"), ("/task", "in_task"), ("/old", "old"):
        assert found[path][:2] == ["sleep", "sleep_deep"]
        assert function in found[path]
    assert found["/deep"][:3] == ["sleep", "sleep_deep", "app"]
    assert found["/wait"][:2] == ["wait", "wait_here"]
    assert ("__call__" in found["/wait"]) is not middleware


@pytest.mark.parametrize("sign", [1, -1])
def test_of_several_tasks_the_one_of_the_app_is_told(rows: Rows, monkeypatch: pytest.MonkeyPatch, sign: int) -> None:
    """Whichever is looked at first: asyncio has them in no order."""
    all_tasks = asyncio.all_tasks
    monkeypatch.setattr(asyncio, "all_tasks", lambda *args: sorted(all_tasks(*args), key=lambda task: sign * id(task)))
    assert places(rows, {"/parts": sleep_deep}, middleware=True)["/parts"] == ["sleep", "sleep_deep", "part"]


def test_one_that_waits_for_a_thread_is_where_the_thread_is(rows: Rows) -> None:
    """As Starlette and FastAPI serve by a function that is no coroutine. Read in anyio: this fails if it changes."""
    began, end = threading.Event(), threading.Event()

    def block_thread() -> None:
        began.set()
        end.wait()

    async def in_thread() -> None:
        await anyio.to_thread.run_sync(block_thread, abandon_on_cancel=True)

    try:
        (names,) = places(rows, {"/": in_thread}, wait=began.wait).values()
    finally:
        end.set()
    assert names.index("block_thread") < names.index("in_thread")


def test_the_one_that_runs_is_where_the_thread_is(rows: Rows) -> None:
    """And the others where they wait; one whose response is over is no more."""

    async def look() -> None:
        stacks, found = TaskStacks(asyncio.get_running_loop(), rows), []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] == "/wait":
                await sleep_deep()

            def at() -> None:
                found.append(stacks.frames(sys._getframe()))

            at()
            for message in {"type": "http.response.start", "status": 200}, {"type": "http.response.body"}:
                await send(message)
            at()

        async def send(message: Any) -> None:
            pass

        def scope(path: str) -> dict[str, Any]:
            return {"type": "http", "method": "GET", "path": path, "headers": []}

        waiting: Any = asyncio.create_task(counted_asgi(app)(scope("/wait"), send, send))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        await counted_asgi(app)(scope("/now"), send, send)  # type: ignore[arg-type]
        waiting.cancel()
        during, after = ([[frame.f_code.co_name for frame in stack] for stack in one.values()] for one in found)
        assert sorted(names[0] for names in during) == ["at", "sleep"]
        assert [names[0] for names in after] == ["sleep"]

    asyncio.run(look())


def test_of_too_many_the_oldest_are_told(block: Block, rows: Rows) -> None:
    """The answer has its bounds, and what can't be named is not asked for."""
    assert block.layout.entries < REQUESTS
    ways: dict[str, Serve] = {f"/{number}": sleep_deep for number in range(block.layout.entries + 5)}
    assert places(rows, ways).keys() == set(list(ways)[: block.layout.entries])


def test_the_loop_does_not_stand_still_for_it(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are too many tasks some are not looked at."""
    monkeypatch.setattr("hvd.daemon.stacks.tasks.LONGEST", -1)
    assert len(places(rows, WAYS)) <= 1
