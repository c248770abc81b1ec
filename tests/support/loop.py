"""Tests that are coroutines, in a loop of their own."""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any

from tests.support import waiting

PATIENCE = 10.0 * waiting.PATIENCE
"""Seconds until a condition that should hold is given up."""


def in_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test that is a coroutine function; an exception in a callback of the loop fails it."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def watched() -> None:
            failures: list[dict[str, Any]] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
            await asyncio.wait_for(test(*args, **kwargs), 120 * waiting.PATIENCE)
            assert not failures

        asyncio.run(watched())

    return run


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until `condition()` holds."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > PATIENCE * waiting.crowding():
            raise AssertionError(f"the condition never held{waiting.compared(condition)}")
        await asyncio.sleep(0.005)
