"""The app on a screen that is no terminal, with numbers that a test sets."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import cast

from textual.pilot import Pilot

from hvd.cli.client import Address
from hvd.cli.top.app import Top
from hvd.cli.top.ask import JobsWanted
from hvd.cli.top.choice import Choice
from hvd.cli.top.feed import Feed
from hvd.cli.top.model import Model
from tests.unit.cli.top.data import frame, model

Steps = Callable[["Seen"], Awaitable[None]]


class FakeFeed:
    """Brings nothing by itself, and notes what it is asked for."""

    def __init__(self, known: Model) -> None:
        self.model = known
        self.failure: Exception | None = None
        self.changed = lambda: None
        self.watched: list[str] = []
        self.toggled: list[str] = []
        self.jobs: list[JobsWanted | None] = []

    def watch(self, key: str) -> None:
        self.watched.append(key)

    def list_jobs(self, wanted: JobsWanted | None) -> None:
        self.jobs.append(wanted)

    def toggle_pin(self, key: str) -> None:
        self.toggled.append(key)


class Seen:
    """What a test has of the running app."""

    def __init__(self, app: Top, feed: FakeFeed, pilot: Pilot[None]) -> None:
        self.app, self.feed, self.pilot = app, feed, pilot

    async def press(self, *keys: str) -> str:
        """The screen after these keys."""
        await self.pilot.press(*keys)
        return await self.text()

    async def text(self) -> str:
        """The screen now."""
        await self.pilot.pause()
        lines = self.app.screen._compositor.render_strips(self.app.size)
        return "\n".join("".join(part.text for part in line).rstrip() for line in lines)

    async def until(self, *parts: str) -> str:
        """The screen once all of these are on it."""
        for _ in range(500):
            text = await self.text()
            if all(part in text for part in parts):
                return text
            await asyncio.sleep(0.02)
        raise AssertionError(f"the screen never shows {parts}:\n{text}")


def run(
    steps: Steps, known: Model | None = None, size: tuple[int, int] = (80, 24), url: str = "", **more: object
) -> Top:
    """Do the steps on a screen of that size -> the app, which has ended."""
    known = known or model(time.monotonic())
    feed = FakeFeed(known)
    address = Address.parse(url or "http://127.0.0.1:1")
    app = Top(cast(Feed, feed), address, 5.0, frame(stale_after=60.0, **more), Choice())

    async def played() -> None:
        async with app.run_test(size=size) as pilot:
            await steps(Seen(app, feed, pilot))

    asyncio.run(played())
    return app
