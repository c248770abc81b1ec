"""The job runner's process: started by the master with inherited descriptors, ended with it."""

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import time
from collections.abc import Sequence

from hvd.core.block import Block, attach
from hvd.core.descriptors import fill_standard, raise_limit
from hvd.core.pages import CAPACITY, Page
from hvd.core.proc import PR_SET_CHILD_SUBREAPER, die_with_parent, prctl
from hvd.core.slots import Slots
from hvd.daemon.logs import log_to_master
from hvd.jobs.database.identity import daemon_name, short_name
from hvd.jobs.database.queue import Queue
from hvd.jobs.database.queue import Runner as Identity
from hvd.jobs.database.schema import Database
from hvd.jobs.database.store import Json
from hvd.jobs.events import Events
from hvd.jobs.options import Options
from hvd.jobs.run.runner import Runner
from hvd.read.reading import HEARTBEAT, JOBS_PAGE, View
from hvd.settings.variables import inherited

OWN_DESCRIPTORS, JOB_DESCRIPTORS = 128, 4  # that the runner needs for itself, and for each running job, at most
ORPHANED_GRACE = 2.0  # s that jobs get when the master was killed: the next start waits for us to be gone

log = logging.getLogger("hvd.jobs")


class Publisher:
    """Writes the runner's page."""

    def __init__(self, block: Block, slot: int) -> None:
        self._page = Page(block, slot)
        self._is_told = False

    def __call__(self, figures: Json) -> None:
        page = {**figures, "page": JOBS_PAGE, "monotonic_ns": time.monotonic_ns()}
        data = json.dumps(page, separators=(",", ":")).encode()
        while len(data) > CAPACITY and page.get("recent"):
            page["recent"] = page["recent"][: len(page["recent"]) // 2]
            data = json.dumps(page, separators=(",", ":")).encode()
        if len(data) > CAPACITY:  # hundreds of kinds, each with all its durations
            if not self._is_told:
                log.error("%d bytes of counts don't fit: those of before stay; use fewer kinds of job", len(data))
            self._is_told = True
            return
        self._page.write(data)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM. Returns the exit status."""
    fill_standard()
    parser = argparse.ArgumentParser(prog="hvd.jobs", description="hvd's job runner; the gunicorn master starts it")
    for name in ("--block-fd", "--events-fd", "--wake-fd", "--options-fd", "--slot", "--master"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--name", required=True, help="name of the block")
    given = parser.parse_args(arguments)
    deafen()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    asyncio.run(_serve(given))
    return 0


def deafen() -> None:
    """Take no notice of a terminal's Ctrl-C and the like: they are for the master, which then stops us.

    By a handler: jobs would inherit that a signal is ignored, and then could neither be interrupted by it nor trap it.
    """
    for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(signum, lambda *_: None)


async def _serve(given: argparse.Namespace) -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    die_with_parent(given.master, signal.SIGTERM)
    reread = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, reread.set)
    options = Options.read(given.options_fd)
    log_to_master(options.log_level)
    _make_room(options)
    block = attach(given.block_fd, given.name)
    heart = asyncio.create_task(_beat(Slots(block), given.slot), name="heartbeat")
    name = daemon_name(options.database_url, options.state_dir, options.instance)
    queue = Queue(Database(options.database_url), Identity.here(), name, options.lease)
    queue.name_before = short_name(options.database_url, options.instance)
    runner = Runner(
        queue,
        options,
        environ={**inherited(), "HVD_INSTANCE": options.instance},
        events=Events(socket.socket(fileno=given.events_fd)),
        publish=Publisher(block, given.slot),
        figures=View(block, runs_jobs=True).published().jobs or {},
    )
    loop.add_reader(given.wake_fd, _wake, given.wake_fd, runner)
    reading = asyncio.create_task(_reread(given.options_fd, reread, runner), name="options")
    loop.add_signal_handler(signal.SIGTERM, _stop, runner, given.master, stopping)
    if stopping.is_set():
        _stop(runner, given.master, stopping)
    await runner.run(stopping)
    heart.cancel()
    reading.cancel()


def _make_room(options: Options) -> None:
    raise_limit(OWN_DESCRIPTORS + JOB_DESCRIPTORS * options.concurrency)


def _stop(runner: Runner, master: int, stopping: asyncio.Event) -> None:
    if os.getppid() != master:
        runner.stop_grace = min(ORPHANED_GRACE, runner.options.grace)
    stopping.set()


def _wake(fd: int, runner: Runner) -> None:
    os.eventfd_read(fd)
    runner.wake()


async def _beat(slots: Slots, slot: int) -> None:
    while True:
        slots.beat(slot)
        await asyncio.sleep(HEARTBEAT)


async def _reread(fd: int, reread: asyncio.Event, runner: Runner) -> None:
    """Take new options over at SIGHUP; jobs that run go on as they were started."""
    while True:
        await reread.wait()
        reread.clear()
        try:
            runner.take(Options.read(fd))
        except ValueError:
            continue
        _make_room(runner.options)
        logging.getLogger().setLevel(runner.options.log_level.upper())
