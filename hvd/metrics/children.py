"""Children of a process that counts in a block take slots of their own, each when it first counts an own metric.

A forked child has the block already. One that is executed (by `multiprocessing`'s spawn or its fork server, or any
program in Python) finds it by a variable that its parent has set. They are joined processes: the daemon settles their
slots, and the block outlives the daemon for them. None of them needs a thread: where no slot can be had, it is looked
for again when something is counted (own/store.py), which takes half a second at most.
"""

import atexit
import logging
import os
import sys
import weakref
from collections.abc import Callable
from functools import partial

from hvd.core import layout
from hvd.core.block import Block, open_block
from hvd.core.descriptors import leads_to
from hvd.core.locks import COUNT_WAIT
from hvd.core.name import plain_name
from hvd.core.outside import kept_blocks
from hvd.core.own.store import own_store
from hvd.core.slots import Slots
from hvd.errors import BlockError, HvdError
from hvd.metrics.parent import VARIABLE
from hvd.settings.environ import tell_children

ENDING = -1  # threads of a process that ends by itself, and takes nothing new
_FINALIZERS = "multiprocessing.util", "billiard.util"
"""Their processes end without what `atexit` has; billiard is Celery's."""

log = logging.getLogger("hvd")


def let_join(block: Block) -> None:
    """Have children of this process, which was given a slot of that block, take slots themselves."""
    own_store.first = partial(_join_forked, block)
    tell_executed(block)


def tell_executed(block: Block) -> None:
    """As `let_join`, for children that are executed."""
    tell_children(VARIABLE, block.name)


def join_executed(name: str) -> bool:
    """Take a slot of the block of that name, which the parent has. -> whether that may go better later."""
    try:
        if _is_kept(name):
            block = open_for_good(name)
            with block.locked(COUNT_WAIT):
                number = _claim(block) if block.file_name.holds() else None  # else it was just removed
            if number is not None:
                _count_in(block, number)
    except (HvdError, OSError) as error:
        _say(error)
        return not isinstance(error, PermissionError)  # the daemon's workers are of another user than its master
    return True


def _is_kept(name: str) -> bool:
    return any(
        block.format == layout.FORMAT and block.user == os.geteuid() for block in kept_blocks(name=plain_name(name))
    )


def _join_forked(block: Block) -> bool:
    try:
        with block.locked(COUNT_WAIT):
            block.disown()
        with block.locked(COUNT_WAIT):
            number = _claim(block)
    except (BlockError, OSError) as error:
        _say(error)
    else:
        _count_in(block, number)
    return True


def _claim(block: Block) -> int:
    pid = os.getpid()
    return Slots(block).claim(layout.KIND_JOINED, pid, pid)


def _count_in(block: Block, number: int) -> None:
    """Called without the block's lock: a thread that has the store's may wait for it."""
    own_store.attach(block, number)
    call_at_end(partial(leave, block, number))


def _say(error: Exception) -> None:
    text = str(error)
    if text not in _said:
        _said.add(text)
        log.warning("hvd: this process has no slot, and counts the app's own metrics by itself until then: %s", text)


_said: set[str] = set()


def open_for_good(name: str) -> Block:
    """The block of that name, for a process that counts in it. Raises BlockError, OSError."""
    block = open_block(name)
    weakref.finalize(block, _close, block.fd, block.file).atexit = False  # threads may count until the very end
    return block


def _close(fd: int, file: os.stat_result) -> None:
    if leads_to(fd, file):  # and not to one that the app has opened since it closed this
        os.close(fd)


def leave(block: Block, number: int) -> None:
    """The process ends, which has that slot as a joined one: the last of them removes a block that has no master."""
    Slots(block).say_ready(number, ENDING)
    if not block.masters():
        block.remove_if_last(lambda: any(slot.pid != os.getpid() for slot in Slots(block).joined()))


def call_at_end(work: Callable[[], None]) -> None:
    """Do this work when this process ends, which may be a child of `multiprocessing`; not in one that it forks."""
    pid = os.getpid()

    def at_end() -> None:
        if os.getpid() == pid:
            work()

    atexit.register(at_end)
    for name in _FINALIZERS:
        if util := sys.modules.get(name):
            finalize = partial(util.Finalize, None, at_end, exitpriority=-100)
            finalize()
            util.register_after_fork(
                call_at_end, lambda _, finalize=finalize: finalize()
            )  # a start drops what is there
