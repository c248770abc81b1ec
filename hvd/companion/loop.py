"""A companion whose work is done in an event loop: it beats, takes other options over at SIGHUP, ends at SIGTERM."""

import asyncio
import signal
from collections.abc import Callable
from typing import Protocol, TypeVar

from hvd.companion.child import HEARTBEAT, Child, take_reloads
from hvd.companion.options import Options

AnyOptions = TypeVar("AnyOptions", bound=Options)


class Work(Protocol):
    """What a companion does. All of it is called in the loop's thread."""

    async def run(self) -> None:
        """Work until `stop` is called, and end what was begun. An exception ends the process."""

    def reload(self) -> None:
        """The child has other options now."""

    def stop(self) -> None:
        """Let `run` return soon."""


def run(child: Child[AnyOptions], begin: Callable[[Child[AnyOptions]], Work]) -> int:
    """Do the work that `begin`, called in the loop, gives, until SIGTERM. Returns the exit status."""
    asyncio.run(_run(child, begin))
    return 0


async def _run(child: Child[AnyOptions], begin: Callable[[Child[AnyOptions]], Work]) -> None:
    def reload() -> None:
        if child.reload():
            work.reload()

    loop = asyncio.get_running_loop()
    heart = asyncio.create_task(_beat(child), name="heartbeat")
    work = begin(child)
    loop.add_signal_handler(signal.SIGTERM, work.stop)
    loop.add_signal_handler(signal.SIGHUP, reload)
    take_reloads()
    try:
        await work.run()
    finally:
        heart.cancel()


async def _beat(child: Child[AnyOptions]) -> None:
    while True:
        child.beat()
        await asyncio.sleep(HEARTBEAT)
