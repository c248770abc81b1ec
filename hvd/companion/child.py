"""What every companion does, whatever its work is.

The master executes a companion with its standard error as a log (log.py), descriptors and little else in its arguments,
its options in a memory file (options.py), and SIGHUP blocked, so that one which comes before the handler is set does
not end the process.
"""

import asyncio
import json
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from hvd.companion.log import log_to_master
from hvd.companion.options import BLOCK, OPTIONS, STACKS, Command, Options, OptionsFile
from hvd.core.block import attach
from hvd.core.descriptors import fill_standard, raise_limit
from hvd.core.pages import Page
from hvd.core.proc import die_with_parent
from hvd.core.slots import Slots
from hvd.core.stacks import StackFile

HEARTBEAT = 0.25  # s between two signs of life

AnyOptions = TypeVar("AnyOptions", bound=Options)


class Work(Protocol):
    """What a companion does. All of it is called in the loop's thread."""

    async def run(self) -> None:
        """Work until `stop` is called, and end what was begun. An exception ends the process."""

    def reload(self) -> None:
        """The child's options have changed."""

    def stop(self) -> None:
        """Let `run` return soon."""


class Child(Generic[AnyOptions]):
    """The companion's block, slot and page, and the `options` in force. One thread of the process uses it."""

    def __init__(
        self,
        program: str,
        descriptors: Iterable[str],
        kind: type[AnyOptions],
        arguments: Sequence[str] | None = None,
        *,
        at_masters_death: signal.Signals = signal.SIGKILL,
    ) -> None:
        """The first thing that a companion's program does; `descriptors` are those that it needs beside the usual.

        The kernel sends the process `at_masters_death` when its master has ended. Raises SystemExit for arguments that
        are no master's; OSError, ValueError where the master has not left what is needed: then it can only end.
        """
        fill_standard()
        command = self._command = Command.parse(program, (BLOCK, OPTIONS, STACKS, *descriptors), arguments)
        ignore_signals()
        die_with_parent(command.master, at_masters_death)
        self._kind, self._file = kind, OptionsFile(command.descriptors[OPTIONS])
        self.options = kind.from_json(self._file.read())
        log_to_master(self.options.log_level)
        raise_limit(self.options.descriptors)
        self.block = attach(command.descriptors[BLOCK], command.block)
        self.stacks = StackFile(command.descriptors[STACKS])
        self.slot = command.slot
        self._slots, self._page = Slots(self.block), Page(self.block, self.slot)

    def descriptor(self, name: str) -> int:
        """The number of an inherited descriptor."""
        return self._command.descriptors[name]

    def socket(self, name: str) -> socket.socket:
        """An inherited socket; to be made once for each name."""
        return socket.socket(fileno=self.descriptor(name))

    @property
    def is_orphan(self) -> bool:
        """True once the master is gone."""
        return os.getppid() != self._command.master

    def beat(self) -> None:
        """Give a sign of life: without one for some seconds the process is killed and replaced."""
        self._slots.beat(self.slot)

    def publish(self, page: Mapping[str, Any]) -> None:
        """Publish this as JSON for all processes of the daemon. Raises ValueError where it is too long for a page."""
        self._page.write(as_json(page))

    def reload(self) -> bool:
        """After SIGHUP: apply changed options, their log level and limits. -> False where none have changed."""
        try:
            options = self._kind.from_json(self._file.read())
        except ValueError:  # the master writes, and sends another signal then
            return False
        if options == self.options:
            return False
        self.options = options
        logging.getLogger().setLevel(options.log_level.upper())
        raise_limit(options.descriptors)
        return True

    def run(self, begin: Callable[["Child[AnyOptions]"], Work]) -> int:
        """Do the work that `begin` gives until SIGTERM, in an event loop in which `begin` is called, too; meanwhile
        give signs of life, and go over to other options at SIGHUP. Returns the exit status.
        """
        asyncio.run(self._run(begin))
        return 0

    async def _run(self, begin: Callable[["Child[AnyOptions]"], Work]) -> None:
        def reload() -> None:
            if self.reload():
                work.reload()

        loop = asyncio.get_running_loop()
        heart = asyncio.create_task(self._beat_on(), name="heartbeat")
        work = begin(self)
        loop.add_signal_handler(signal.SIGTERM, work.stop)
        loop.add_signal_handler(signal.SIGHUP, reload)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # one that has come before comes now
        try:
            await work.run()
        finally:
            heart.cancel()

    async def _beat_on(self) -> None:
        while True:
            self.beat()
            await asyncio.sleep(HEARTBEAT)


def as_json(page: Mapping[str, Any]) -> bytes:
    """A page as it is published."""
    return json.dumps(page, separators=(",", ":")).encode()


def ignore_signals() -> None:
    """Take no notice of a terminal's Ctrl-C and the like: they are for the master, which then stops its companions.

    A handler does it: a program that this one executes would inherit SIG_IGN, and could then neither be interrupted nor
    trap the signal.
    """
    for signum in (signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        signal.signal(signum, lambda *_: None)
