"""How a master gets its block: it makes one, takes one over from a daemon that was killed, or shares one at an upgrade.

block.py says which locks decide that.
"""

import contextlib
import errno
import fcntl
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from hvd.core import layout, locks
from hvd.core.block import DIRECTORY, Block, check_owner, map_segment, open_block, read_layout
from hvd.core.descriptors import explain, fill_standard
from hvd.core.foreign import is_of_hvd, set_aside
from hvd.core.layout import Layout
from hvd.core.locks import DYING, Passed, claim_name, is_claimed_by, no_claim, take_claim
from hvd.core.name import Name, evasive_names, usable_name
from hvd.core.proc import exists, is_alive
from hvd.errors import BlockError, BlockForeign, BlockInUse, BlockLocked

OWNER_WAIT = 30.0  # s; the processes of a killed master end within some 3 s, see workers.py; on a slow machine later
OWNER_PAUSE = 0.05  # s between two attempts


def acquire(
    name: str,
    shape: Layout,
    *,
    upgrade: bool = False,
    passed: Passed | None = None,
    wait: float = OWNER_WAIT,
    warn: Callable[[str], None] = lambda message: None,
    check: Callable[[Block], object] = lambda block: None,
    fill: Callable[[Block], None] = lambda block: None,
) -> tuple[Block, bool]:
    """The block of that name for a master that starts: made, or taken over; True if it was there before.

    A block that exists keeps its own number of slots and series, whatever `shape` says. With `upgrade` the old
    master lives and shares it, by the descriptors that it has `passed`. Otherwise this waits up to `wait` seconds for
    the processes of a killed master to end; and a block that can't be used, since it is of another format, damaged, or
    `check` raises BlockForeign, is set aside. It calls `warn` with a line for the log in both cases. What `fill` writes
    into a new block is there before the block has a name.

    Where another user has taken the name, the block gets another one (name.py), with a warning. Where another user
    holds the claim, this does without it.

    Raises BlockInUse and BlockLocked where those processes don't end, and at once where a master lives; BlockForeign
    where the segment is no block of hvd, or at an upgrade one that can't be used.
    """
    fill_standard()
    claim = passed.claim if passed else _claim(name, min(wait, DYING), warn)
    os.set_inheritable(claim, False)
    try:
        if passed:
            block, existed = _share(passed.block, _name_of(passed.block, name), check), True
        else:
            block, existed = _acquire(_usable_name(name, warn), _New(shape, fill), upgrade, wait, warn, check)
    except BaseException:
        os.close(claim)
        raise
    block.claim = claim
    block.file_name.keep_spare()
    return block, existed


def _claim(name: str, wait: float, warn: Callable[[str], None]) -> int:
    try:
        return take_claim(DIRECTORY, name, wait)
    except BlockInUse as error:
        if not is_claimed_by(DIRECTORY, name, os.geteuid()):
            warn(
                f"a process of another user holds {claim_name(DIRECTORY, name)} (it is in /proc/net/unix): hvd goes on "
                f"without, and a second start with this name takes up to {OWNER_WAIT:g} s to be refused"
            )
            return no_claim()
        raise BlockInUse(
            f"{error}{_masters_text(name)}: stop it, or start this one on another address, "
            "and under another HVD_INSTANCE where that is set"
        ) from None


def _usable_name(name: str, warn: Callable[[str], None]) -> str:
    usable = usable_name(DIRECTORY, name)
    if usable != name:
        warn(f"{DIRECTORY / name} is another user's: the block is {DIRECTORY / usable}")
    return usable


def _name_of(fd: int, name: str) -> str:
    """The name that the block behind a descriptor has."""
    names = (other for other in evasive_names(DIRECTORY, name) if Name(DIRECTORY / other, fd).holds())
    return next(names, name)


def _share(fd: int, name: str, check: Callable[[Block], object]) -> Block:
    """The block behind a descriptor that the old master made by `Block.share`."""
    try:
        os.set_inheritable(fd, False)
        try:
            block = _use(fd, name, check)
        except BlockForeign as error:
            raise BlockForeign(f"{error}. The old daemon serves on: stop it, then start this one.") from None
        if not _own(fd, exclusive=False):
            raise BlockLocked(locks.complaint(fd, name))
    except BaseException:
        os.close(fd)
        raise
    return block


class _New(NamedTuple):
    """What a new block is made with."""

    shape: Layout
    fill: Callable[[Block], None]


def _acquire(
    name: str, new: _New, upgrade: bool, wait: float, warn: Callable[[str], None], check: Callable[[Block], object]
) -> tuple[Block, bool]:
    deadline = time.monotonic() + wait
    is_warned = False
    while True:
        fd, existed = _open_or_create(name, new)
        try:
            if not existed:
                return Block(fd, new.shape, name), False
            _check_owner(fd, name)
            if not _own(fd, exclusive=not upgrade):
                if time.monotonic() > deadline:
                    raise _held(fd, name)
                if not is_warned:
                    masters = _masters_text(name)  # one in another network namespace has another claim
                    holders = f"a daemon that runs{masters}" if masters else "processes of a master that is gone"
                    warn(f"block {name} is held by {holders}; waiting up to {wait:g} s for them to end")
                    is_warned = True
                time.sleep(OWNER_PAUSE)
            elif Name(DIRECTORY / name, fd).holds():  # else its last owner removed it between our open and our lock
                block = _usable(fd, name, check, None if upgrade else warn)
                if block:
                    return block, True
            os.close(fd)
        except BaseException:
            with contextlib.suppress(OSError):  # closed already, where it was interrupted while it waited
                os.close(fd)
            raise


def _use(fd: int, name: str, check: Callable[[Block], object]) -> Block:
    block = Block(fd, read_layout(fd, name), name)
    _check_numbers(block)
    check(block)
    return block


def _usable(fd: int, name: str, check: Callable[[Block], object], warn: Callable[[str], None] | None) -> Block | None:
    """The block, which the caller holds; None where it can't be used and is set aside. Without `warn` that raises."""
    try:
        return _use(fd, name, check)
    except BlockForeign as error:
        if warn is None or not is_of_hvd(fd):
            raise BlockForeign(f"{error}. {_REMEDY}") from None
        warn(f"{error}; {set_aside(DIRECTORY / name, fd)}")
        return None


def _open_or_create(name: str, new: _New) -> tuple[int, bool]:
    path = DIRECTORY / name
    while True:
        try:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK), True
        except FileNotFoundError:
            pass
        except OSError as error:
            raise BlockForeign(
                f"segment {path} can't be opened ({error.strerror}): it is no file, or not this user's. {_REMEDY}"
            ) from None
        try:
            return _create(path, new), False
        except FileExistsError:
            continue


_REMEDY = "Choose another HVD_INSTANCE, or remove it if you are sure that nothing uses it."


def _create(path: Path, new: _New) -> int:
    """Make the segment. It is complete and owned before it has a name, so no process sees half of it."""
    shape = new.shape
    try:
        fd = os.open(path.parent, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BlockError(f"no shared memory can be made in {path.parent}: {_reason(error, shape)}") from None
    try:
        os.ftruncate(fd, shape.size)
        map_segment(fd, shape.size).close()  # a block that can't be mapped must get no name
        os.posix_fallocate(fd, 0, shape.first_entry)
        os.pwrite(fd, header_of(shape), 0)
        _own(fd, exclusive=False)
        new.fill(Block(fd, shape, path.name))
        # open(2), O_TMPFILE, says to link through /proc; os.link follows that link only when a directory is named.
        os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=fd, follow_symlinks=True)
    except BaseException as error:
        os.close(fd)
        if isinstance(error, OSError) and not isinstance(error, FileExistsError):
            raise BlockError(f"no block can be made in {path.parent}: {_reason(error, shape)}") from None
        raise
    return fd


def _reason(error: OSError, shape: Layout) -> str:
    """Why there is no room, or no leave, for a block: in figures where there are some, and what to do."""
    lower = "set slots, threads or max_series lower"
    match error.errno:
        case errno.ENOSPC:
            free = os.statvfs(DIRECTORY)
            amounts = f"{shape.first_entry / 1e6:.1f} MB are needed, {free.f_bavail * free.f_frsize / 1e6:.1f} MB free"
            remedy = f"make that file system larger (a container's by --shm-size), or {lower}"
            return f"{error.strerror}, {amounts}: {remedy}"
        case errno.EFBIG:
            most, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
            sizes = (
                f"it has {shape.size / 1e6:.0f} MB, most of them never written, and files may have {most / 1e6:.1f} MB"
            )
            return f"{error.strerror}, {sizes}: lift that limit (ulimit -f, LimitFSIZE=), or {lower}"
        case errno.EMFILE:
            return explain(error)
        case errno.EROFS | errno.EACCES | errno.ENOENT:
            return f"{error.strerror}: mount a tmpfs there that this user may write to"
    return str(error.strerror)


def header_of(shape: Layout) -> bytes:
    """The first page of a block that is made now."""
    header = bytearray(layout.PAGE)
    cells = memoryview(header).cast("q")
    cells[layout.H_MAGIC], cells[layout.H_FORMAT] = layout.MAGIC, layout.FORMAT
    cells[layout.H_SLOTS], cells[layout.H_ROWS], cells[layout.H_SERIES] = shape.slots, shape.rows, shape.series
    cells[layout.H_ENTRIES], cells[layout.H_OWN_SERIES] = shape.entries, shape.own_series
    cells[layout.H_OWN_USED] = cells[layout.H_OWN_RESERVED] = shape.own_marks
    cells[layout.H_CHECKSUM] = shape.checksum
    cells[layout.H_ROW_CELLS] = shape.row_cells
    cells[layout.H_CELLS_USED] = shape.first_run
    cells[layout.H_STARTED_WALL], cells[layout.H_STARTED_MONO] = time.time_ns(), time.monotonic_ns()
    cells[layout.H_MADE_MONO], cells[layout.H_SINCE_WALL] = cells[layout.H_STARTED_MONO], cells[layout.H_STARTED_WALL]
    return bytes(header)


def _own(fd: int, *, exclusive: bool) -> bool:
    """Take the ownership lock, shared; with `exclusive` only if no other process has it.

    False where it can't be taken now, or another process keeps the record lock.
    """
    # flock's conversion from exclusive to shared is not atomic (flock(2)): the record lock makes it so.
    if not locks.take(fd, locks.COUNT_WAIT):
        return False
    try:
        if exclusive:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        locks.drop(fd)
    return True


def _check_numbers(block: Block) -> None:
    """Raises BlockForeign where the numbers in header and slot table can't be. Changes nothing."""
    cells, shape = block.cells, block.layout
    claims = [
        (cells[layout.H_CELLS_USED], shape.first_run, shape.row_cells),
        (cells[layout.H_CATALOGUE_BYTES], 0, shape.catalogue_bytes),
        (cells[layout.H_OWN_USED], shape.own_marks, max(shape.own_marks, shape.own_row_cells)),
        (cells[layout.H_OWN_BYTES], 0, shape.own_catalogue_bytes),
    ]
    for number in range(shape.slots):
        cell = shape.slot_cell(number)
        claims.append((cells[cell + layout.S_ROWS], 0, shape.rows - 1))
        claims.append((cells[cell + layout.S_ENTRIES], 0, shape.entries))
        claims += [(cells[cell + index], 0, 1) for index in (layout.S_TAKEN, layout.S_SHARED)]
    if not all(low <= value <= high for value, low, high in claims):
        raise BlockForeign(f"block {block.name} is damaged: it says of itself what can't be")


def _masters_text(name: str) -> str:
    """The masters that the block of that name has in its header, as a clause; "" where none can be seen."""
    with contextlib.suppress(OSError, BlockForeign):
        block = open_block(name)
        masters = [pid for pid in block.masters() if is_alive(pid)]
        os.close(block.fd)
        if masters:
            return f" (master pid {', '.join(map(str, masters))})"
    return ""


def _held(fd: int, name: str) -> BlockError:
    """Why the block can't be taken."""
    if locks.holder(fd):
        return BlockLocked(locks.complaint(fd, name))
    try:
        shape = read_layout(fd, name)
    except BlockForeign as error:
        return BlockForeign(f"{error}, and it is in use: stop the daemon that has it, or choose another HVD_INSTANCE")
    block = Block(fd, shape, name)
    pids = [*block.masters(), *(block.cells[shape.slot_cell(number) + layout.S_PID] for number in range(shape.slots))]
    alive = ", ".join(f"pid {pid}" for pid in dict.fromkeys(pids) if exists(pid)) or "of another container"
    return BlockInUse(f"processes ({alive}) hold block {name}, and don't end: end them, or choose another HVD_INSTANCE")


def _check_owner(fd: int, name: str) -> None:
    try:
        check_owner(fd, name)
    except BlockForeign as error:
        raise BlockForeign(f"{error}. {_REMEDY}") from None
