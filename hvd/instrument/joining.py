"""A process that joins a daemon: it takes a slot of the block by itself, and leaves it to the daemon to settle.

Until it has one, it counts in a private block. A thread of its own looks for a daemon, and, once there is one, gives
the process its new rows in one store; it moves what was counted in the old ones, and what still ends there. The same
where the block's name is another block's by now, and no daemon has the old one.

A block outlives a daemon that has stopped, for the processes which have joined it; the last of them removes it. One
whose daemon was killed stays for the next daemon.
"""

import logging
import os
import pwd
import threading

from hvd.core import layout
from hvd.core.block import DIRECTORY, Block
from hvd.core.carry import Carrier, Source
from hvd.core.locks import COUNT_WAIT
from hvd.core.name import evasive_names, plain_name
from hvd.core.outside import PREFIX, KeptBlock, block_files, has_open, kept_blocks
from hvd.core.own.store import own_store
from hvd.core.private import private_rows
from hvd.core.rows import Rows
from hvd.core.slots import Slots
from hvd.errors import DaemonsAmbiguous, HvdError, JoinRefused
from hvd.instrument.counting import HttpSettings, counting
from hvd.metrics import children
from hvd.metrics.table import FAMILIES
from hvd.settings.loader import load

PAUSE = 1.0  # s between two looks for a daemon, or at the block's name

log = logging.getLogger("hvd")


class Joining:
    """This process, or a child that it forks, and the slot that it has or looks for. Thread-safe."""

    def __init__(self, instance: str, default: str = "") -> None:
        """`instance` is the daemon's, "": this user's only one, or, of several, the one with the name `default`."""
        self._instance, self._default = instance, default
        self._block: Block | None = None  # of the slot
        self._said = ""
        self.after_fork()

    def after_fork(self) -> None:
        """In a forked child: slot and counts are the parent's. Of the block it takes a slot of its own."""
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._has_slot = False
        self._current: Source | None = None  # the rows in use
        self._before: list[Source] = []  # those used before, as far as they are still in use too
        self._carrier: Carrier | None = None  # of what is counted in those

    def begin(self) -> None:
        """Join, if there is a daemon. Raises DaemonsAmbiguous, JoinRefused: then nothing has happened."""
        self._find()
        counting.first, own_store.first = self.first, self._first_metric
        rows = counting.rows  # by `first`, unless the process has counted before
        with self._lock:
            if self._current is None:
                self._current = Source(rows, FAMILIES, is_whole=True)
                self._start()
                self.turn()

    def first(self) -> None:
        """The process's first rows: those of a slot, or private ones."""
        with self._lock:
            self._start()
            if not self._attach():
                rows = private_rows(FAMILIES)
                self._current = Source(rows, FAMILIES, is_whole=True)
                counting.fill(rows)

    def _first_metric(self) -> bool:
        """As a forked child first counts an own metric: start the look for a slot, without waiting for it."""
        return counting.rows is None

    def _start(self) -> None:
        if self._thread is None:
            children.call_at_end(self.leave)
            self._thread = threading.Thread(target=self._watch, name="hvd-join", daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:  # no thread can be had, as at the very end of the process
                self._say(f"no thread can be started ({error}), so no daemon is looked for")

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(PAUSE):
            try:
                self.turn()
            except Exception as error:
                if repr(error) != self._said:
                    self._said = repr(error)
                    log.exception("hvd.join: looking for the daemon failed; it is tried again")

    def turn(self) -> None:
        """Join, where there is no slot or the block is another one by now; move what was counted elsewhere."""
        with self._lock:
            if not self._has_slot or not self._holds():
                self._attach()
            if self._carrier:
                self._before = self._carrier.move(self._before)
                self._carrier = self._carrier if self._before else None

    def leave(self) -> None:
        """The process ends."""
        with self._lock:
            if self._current:
                self.turn()
            block = self._block
            if not self._has_slot or not block:
                return
            children.leave(block, counting.rows.slot)

    def _holds(self) -> bool:
        return self._block is not None and self._block.file_name.holds()

    def _attach(self) -> bool:
        """Count in a slot from now on. False where there is no daemon, or that can't be: then all stays as it is."""
        try:
            target = self._find()
            if target is None or (self._has_slot and self._is_settled()):
                return False
            block = self._block if self._block and self._holds() else children.open_for_good(target.name)
            return self._take_slot(block)
        except (HvdError, OSError) as error:
            self._say(str(error))
            return False

    def _is_settled(self) -> bool:
        """Whether a master of the block lives, though it has lost its name: it settles our slot some day."""
        block = self._block
        return block is not None and any(has_open(pid, block.file) for pid in block.masters())

    def _take_slot(self, block: Block) -> bool:
        slots, pid = Slots(block), os.getpid()
        with block.locked(COUNT_WAIT):
            if not block.file_name.holds():  # it was removed just now
                return False
            is_new = self._has_slot or not own_store.is_in(block)  # else own metrics have had one take it
            number = slots.claim(layout.KIND_JOINED, pid, pid) if is_new else own_store.slot
        try:
            rows = Rows(block, number, FAMILIES)
            current, carrier = Source(rows, FAMILIES), Carrier(rows) if self._current else None
        except BaseException:
            if is_new:
                slots.free(number)
            raise
        counting.fill(rows)
        own_store.attach(block, number)
        children.tell_executed(block)
        if self._current:
            self._before.append(self._current)
        self._block, self._has_slot, self._current, self._carrier = block, True, current, carrier
        self._instance, self._said = plain_name(block.name).removeprefix(PREFIX), ""
        return True

    def _find(self) -> KeptBlock | None:
        """The daemon's block; None where none is kept. Raises DaemonsAmbiguous, JoinRefused."""
        if self._instance:
            _check_user(self._instance)
            blocks = kept_blocks(name=PREFIX + self._instance)
            return next((block for block in blocks if block.user == os.geteuid()), None)
        own = [block for block in kept_blocks() if block.user == os.geteuid()]
        if len(own) > 1:
            named = [block for block in own if plain_name(block.name) == PREFIX + self._default]
            if not named:
                names = ", ".join(plain_name(block.name).removeprefix(PREFIX) for block in own)
                raise DaemonsAmbiguous(f"{len(own)} daemons run: name one in hvd.join(...) or HVD_INSTANCE: {names}")
            return named[0]
        if not own:
            self._say_others()
        return own[0] if own else None

    def _say_others(self) -> None:
        for path in block_files():
            try:
                _check_user(plain_name(path.name).removeprefix(PREFIX))
            except JoinRefused as error:
                self._say(f"no daemon of this user runs; {error}")

    def _say(self, text: str) -> None:
        """Once."""
        if text != self._said:
            log.warning("hvd.join: %s; until then this process counts by itself", text)
            self._said = text


def _check_user(instance: str) -> None:
    """Raises JoinRefused where the block of that name is another user's."""
    try:
        owner = (DIRECTORY / f"{PREFIX}{instance}").lstat().st_uid
    except OSError:
        return
    if owner != os.geteuid() and not evasive_names(DIRECTORY, f"{PREFIX}{instance}"):
        raise JoinRefused(
            f"daemon {instance} is that of user {_user(owner)}, and this process is {_user(os.geteuid())}'s: "
            f"run it as {_user(owner)}, or start a daemon of its own user"
        )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"with uid {uid}"


_joining: Joining | None = None
_beginning = threading.Lock()


def join_daemon(instance: str) -> None:
    """See hvd.join."""
    global _joining
    with _beginning:
        if _joining or counting.is_in_daemon:
            return
        loaded = load()
        settings = loaded.settings
        named = settings.instance if loaded.sources["instance"] != "default" else ""
        joining = Joining(instance or named, settings.instance)
        counting.settings = HttpSettings.of(settings)
        joining.begin()
        os.register_at_fork(after_in_child=joining.after_fork)
        _joining = joining
