"""The shared-memory segment itself: made, found, attached, locked, removed.

The segment is POSIX shared memory, `/dev/shm/hvd-<instance>` on Linux (shm_overview(7)). It is opened by path and not
through `multiprocessing.shared_memory.SharedMemory`, which opens the same file: that class starts a resource tracker
process which unlinks the segment when the master is killed, or when a reader ends (decision 12 wants it kept), and
keeps the descriptor, on which the locks below rest, private. From outside use `open_block`.

Three kinds of lock, all dropped by the kernel when their holder dies:
- the claim: see claim.py. Whoever has it is the only master, or was started by the other one for an upgrade.
- ownership: flock(2), shared, on the master's open file description, which workers and companions inherit. So a block
  whose lock can be had exclusively belongs to nobody alive.
- mutation: a POSIX record lock, see locks.py, held for microseconds by whoever takes a slot, appends a series or writes
  a post-mortem. A thread lock beside it excludes the threads of one process.
"""

import contextlib
import fcntl
import mmap
import os
import stat
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

from hvd.core import layout as at
from hvd.core import locks
from hvd.core.claim import DYING, Passed, take_claim
from hvd.core.descriptors import fill_standard
from hvd.core.foreign import is_of_hvd, set_aside
from hvd.core.layout import Layout
from hvd.core.locks import LOCK_WAIT
from hvd.core.name import Name
from hvd.errors import BlockError, BlockForeign, BlockFull, BlockInUse, BlockLocked
from hvd.metrics import TIMED_CELLS

DIRECTORY = Path("/dev/shm")
OWNER_WAIT = 30.0  # s; the processes of a killed master end within some 3 s, see workers.py; on a slow machine later
OWNER_PAUSE = 0.05  # s between two attempts

_blocks: "weakref.WeakSet[Block]" = weakref.WeakSet()
"""All of this process; weakly, for a mapping keeps its descriptor open until nobody refers to it."""


def _after_fork() -> None:
    for block in _blocks:
        block.new_thread_lock()


os.register_at_fork(after_in_child=_after_fork)


class Block:
    """A mapped segment. `cells` is all of it as int64 cells, `raw` the same as bytes.

    Whole-cell loads and stores through `cells` are single machine accesses; who may store where is said in
    layout.py. Safe to use in forked children: the mapping is shared, and the mutation lock is a process's own.
    """

    def __init__(self, fd: int, layout: Layout, name: str) -> None:
        self.fd = fd
        self.claim = -1  # a master's descriptor, see claim.py
        self.layout = layout
        self.name = name
        self.file_name = Name(DIRECTORY / name, fd)
        self._map = _map(fd, layout.size)
        self.raw = memoryview(self._map)
        self.cells = self.raw.cast("q")
        self._thread_lock = threading.RLock()
        self._depth = 0
        self._vain_until = 0.0
        _blocks.add(self)

    def new_thread_lock(self) -> None:
        """In a forked child: a lock that no thread of the parent holds."""
        self._thread_lock = threading.RLock()
        self._depth = 0

    @contextlib.contextmanager
    def locked(self, wait: float = LOCK_WAIT) -> Iterator[None]:
        """Hold the mutation lock. Re-entrant in a thread; excludes other threads and processes.

        Raises BlockLocked where another process keeps it for longer than `wait` seconds.
        """
        with self._thread_lock:
            if self._depth == 0:
                self._take_lock(wait)
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    locks.drop(self.fd)

    def _take_lock(self, wait: float) -> None:
        if not locks.take(self.fd, wait if time.monotonic() >= self._vain_until else 0.0):
            self._vain_until = time.monotonic() + locks.VAIN
            raise BlockLocked(locks.complaint(self.fd, self.name))

    def reserve(self, cell: int, count: int) -> None:
        """Have memory set aside for so many cells from this one on. Raises BlockFull where the file system has none.

        The segment is sparse; a store into a page for which no memory is left would end the process by SIGBUS.
        """
        try:
            os.posix_fallocate(self.fd, cell * at.CELL, count * at.CELL)
        except OSError as error:
            raise BlockFull(
                f"block {self.name} can't grow: {error.strerror} in {DIRECTORY}; make that file system larger"
            ) from None

    def release_claim(self) -> None:
        """In a process that is not the master, or not any more: the claim is no longer held by it."""
        if self.claim >= 0:
            os.close(self.claim)
            self.claim = -1

    @property
    def path(self) -> Path:
        return self.file_name.path

    def masters(self) -> list[int]:
        """Pids that the header names as masters; whether they live is not asked."""
        return [pid for pid in self.cells[at.H_MASTERS : at.H_MASTERS + at.MASTERS] if pid]

    def add_master(self, pid: int) -> None:
        """Name a master in the header. The caller holds the mutation lock."""
        for index in range(at.H_MASTERS, at.H_MASTERS + at.MASTERS):
            if self.cells[index] in (0, pid) or not _pid_exists(self.cells[index]):
                self.cells[index] = pid
                return

    def say_missing(self, pid: int, workers: int) -> None:
        """Say how many workers this master should have, and can't start."""
        for index in range(at.MASTERS):
            if self.cells[at.H_MASTERS + index] == pid:
                self.cells[at.H_MISSING + index] = workers

    def missing(self) -> int:
        """How many workers the masters alive should have, and can't start."""
        named = zip(self.cells[at.H_MASTERS :][: at.MASTERS], self.cells[at.H_MISSING :][: at.MASTERS], strict=True)
        return sum(workers for pid, workers in named if pid and _pid_exists(pid))

    def drop_master(self, pid: int) -> None:
        """Take a master's name out of the header. Needs no lock: nobody else stores there while that master lives."""
        for index in range(at.H_MASTERS, at.H_MASTERS + at.MASTERS):
            if self.cells[index] == pid:
                self.cells[index] = 0

    def remove_if_last(self) -> bool:
        """Unlink the segment unless another master's processes hold it. True if it is gone."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(BlockLocked):  # without it: a start that comes just now may have to try once more
                stack.enter_context(self.locked())
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # A failed conversion drops the lock that we had (flock(2)); we are leaving anyway.
                return False
            self.file_name.remove()
            return True


def acquire(
    name: str,
    layout: Layout,
    *,
    upgrade: bool = False,
    passed: Passed | None = None,
    wait: float = OWNER_WAIT,
    warn: Callable[[str], None] = lambda message: None,
    check: Callable[[Block], object] = lambda block: None,
) -> tuple[Block, bool]:
    """The block of that name for a master that starts: made, or taken over; True if it was there before.

    A block that exists keeps its own number of slots and series, whatever `layout` says. With `upgrade` the old
    master lives and shares it, and what it has `passed` is used; otherwise this waits up to `wait` seconds for the
    processes of a killed master to end, and a block that can't be used, of another format, damaged, or one for which
    `check` raises BlockForeign, is set aside. `warn` is told of both.

    Raises BlockInUse, BlockLocked where they don't end, and at once where a master lives; BlockForeign where the
    segment is no block of hvd, another user's, or at an upgrade one that can't be used.
    """
    fill_standard()
    claim = passed.claim if passed else _claim(name, min(wait, DYING))
    os.set_inheritable(claim, False)
    try:
        if passed:
            block, existed = _share(passed.block, name, check), True
        else:
            block, existed = _acquire(name, layout, upgrade, wait, warn, check)
    except BaseException:
        os.close(claim)
        raise
    block.claim = claim
    block.file_name.keep_spare()
    return block, existed


def _claim(name: str, wait: float) -> int:
    try:
        return take_claim(DIRECTORY, name, wait)
    except BlockInUse as error:
        raise BlockInUse(
            f"{error}{_masters_text(name)}: stop it, or start this one on another address (HVD_BIND), "
            "and under another HVD_INSTANCE where that is set"
        ) from None


def _share(passed: int, name: str, check: Callable[[Block], object]) -> Block:
    """The block behind a descriptor of the old master's, whose file need not have a name any more."""
    try:  # opened again: on the same open file description the two masters would hold one lock
        fd = os.open(f"/proc/self/fd/{passed}", os.O_RDWR | os.O_CLOEXEC)
    finally:
        os.close(passed)
    try:
        block = _use(fd, name, check)
        if not _own(fd, exclusive=False):
            raise BlockLocked(locks.complaint(fd, name))
    except BaseException:
        os.close(fd)
        raise
    return block


def _acquire(
    name: str,
    layout: Layout,
    upgrade: bool,
    wait: float,
    warn: Callable[[str], None],
    check: Callable[[Block], object],
) -> tuple[Block, bool]:
    deadline = time.monotonic() + wait
    told = False
    while True:
        fd, existed = _open_or_create(name, layout)
        try:
            if not existed:
                return Block(fd, layout, name), False
            _check_owner(fd, name)
            if not _own(fd, exclusive=not upgrade):
                if time.monotonic() > deadline:
                    raise _held(fd, name)
                if not told:
                    warn(
                        f"block {name} is held by processes of a master that is gone; "
                        f"waiting up to {wait:g} s for them to end"
                    )
                    told = True
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
    block = Block(fd, _read_layout(fd, name), name)
    _check_numbers(block)
    check(block)
    return block


def _usable(fd: int, name: str, check: Callable[[Block], object], warn: Callable[[str], None] | None) -> Block | None:
    """The block, which the caller holds; None if it can't be used and is set aside, which needs a `warn`."""
    try:
        return _use(fd, name, check)
    except BlockForeign as error:
        if warn is None or not is_of_hvd(fd):
            raise BlockForeign(f"{error}. {_REMEDY}") from None
        warn(f"{error}; {set_aside(DIRECTORY / name, fd)}")
        return None


def attach(fd: int, name: str) -> Block:
    """The block behind a descriptor inherited from the master. Raises BlockForeign."""
    return Block(fd, _read_layout(fd, name, os.fstat(fd).st_uid), name)  # the master may be another user


def open_block(name: str) -> Block:
    """The block of that name, for looking at it from outside. Raises BlockError, FileNotFoundError."""
    fill_standard()
    fd = os.open(DIRECTORY / name, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return Block(fd, _read_layout(fd, name), name)
    except BaseException:
        os.close(fd)
        raise


def _open_or_create(name: str, layout: Layout) -> tuple[int, bool]:
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
            return _create(path, layout), False
        except FileExistsError:
            continue


_REMEDY = "Choose another HVD_INSTANCE, or remove it if you are sure that nothing uses it."


def _create(path: Path, layout: Layout) -> int:
    """Make the segment, complete and owned before it has a name: nobody ever sees half of it."""
    try:
        fd = os.open(path.parent, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BlockError(f"no shared memory can be made in {path.parent}: {error.strerror}") from None
    try:
        os.ftruncate(fd, layout.size)
        _map(fd, layout.size).close()  # what can't be mapped must not get a name either
        os.posix_fallocate(fd, 0, layout.first_row)
        header = bytearray(at.PAGE)
        cells = memoryview(header).cast("q")
        cells[at.H_MAGIC], cells[at.H_FORMAT] = at.MAGIC, at.FORMAT
        cells[at.H_SLOTS], cells[at.H_ROWS], cells[at.H_SERIES] = layout.slots, layout.rows, layout.series
        cells[at.H_CHECKSUM] = layout.checksum
        cells[at.H_ROW_CELLS] = layout.row_cells
        cells[at.H_CELLS_USED] = layout.first_run
        cells[at.H_STARTED_WALL], cells[at.H_STARTED_MONO] = time.time_ns(), time.monotonic_ns()
        cells[at.H_MADE_MONO] = cells[at.H_STARTED_MONO]
        os.pwrite(fd, header, 0)
        _own(fd, exclusive=False)
        # open(2), O_TMPFILE, says to link through /proc; os.link follows that link only when a directory is named.
        os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=fd, follow_symlinks=True)
    except BaseException as error:
        os.close(fd)
        if isinstance(error, OSError) and not isinstance(error, FileExistsError):
            raise BlockError(f"no block can be made in {path.parent}: {error.strerror}") from None
        raise
    return fd


def _map(fd: int, size: int) -> mmap.mmap:
    try:
        return mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    except (OSError, OverflowError, ValueError) as error:
        raise BlockError(
            f"a block of {size / 2**30:,.0f} GiB can't be mapped ({error}): set slots, threads or max_series lower"
        ) from None


def _own(fd: int, *, exclusive: bool) -> bool:
    """Take the ownership lock: shared in the end, but only if it can be had exclusively where that is asked.

    False where it can't be had now, or where another process keeps the record lock.
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


def _check_owner(fd: int, name: str, owner: int | None = None) -> None:
    """Raises BlockForeign where the segment isn't a file of that user's; None: this process's."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != (os.geteuid() if owner is None else owner):
        raise BlockForeign(f"segment {name} is not a file of this user (owner uid {status.st_uid}). {_REMEDY}")


def _read_layout(fd: int, name: str, owner: int | None = None) -> Layout:
    """The layout that the header tells. Raises BlockForeign, having changed nothing."""
    _check_owner(fd, name, owner)
    header, size = os.pread(fd, at.PAGE, 0), os.fstat(fd).st_size
    if len(header) < at.PAGE:
        raise BlockForeign(f"segment {name} has {size} bytes: it is not a block of hvd")
    cells = memoryview(header).cast("q")
    if cells[at.H_MAGIC] != at.MAGIC:
        raise BlockForeign(f"segment {name} does not begin as a block of hvd does")
    if cells[at.H_FORMAT] != at.FORMAT:
        raise BlockForeign(f"block {name} has format {cells[at.H_FORMAT]}, this hvd writes {at.FORMAT}")
    found = Layout(cells[at.H_SLOTS], cells[at.H_ROWS], cells[at.H_SERIES], TIMED_CELLS)
    if cells[at.H_CHECKSUM] != found.checksum or size != found.size:
        raise BlockForeign(f"block {name} is damaged: its header and its size don't agree")
    return found


def _check_numbers(block: Block) -> None:
    """What the header and the slot table say of the rest can be. Raises BlockForeign, having changed nothing."""
    cells, layout = block.cells, block.layout
    claims = [
        (cells[at.H_CELLS_USED], layout.first_run, layout.row_cells),
        (cells[at.H_CATALOGUE_BYTES], 0, layout.catalogue_bytes),
        (cells[at.H_POST_MORTEMS], 0, 2**48),
    ]
    for number in range(layout.slots):
        cell = layout.slot_cell(number)
        claims.append((cells[cell + at.S_ROWS], 0, layout.rows - 1))
        claims += [(cells[cell + index], 0, 1) for index in (at.S_TAKEN, at.S_SHARED)]
    if not all(low <= value <= high for value, low, high in claims):
        raise BlockForeign(f"block {block.name} is damaged: it says of itself what can't be")


def _masters_text(name: str) -> str:
    """Which processes the block of that name says are its masters, if it can be asked and they can be seen."""
    with contextlib.suppress(OSError, BlockForeign):
        block = open_block(name)
        masters = [pid for pid in block.masters() if _pid_exists(pid)]
        os.close(block.fd)
        if masters:
            return f" (master pid {', '.join(map(str, masters))})"
    return ""


def _held(fd: int, name: str) -> BlockError:
    """Why the block can't be had."""
    if locks.holder(fd):
        return BlockLocked(locks.complaint(fd, name))
    try:
        layout = _read_layout(fd, name)
    except BlockForeign as error:
        return BlockForeign(f"{error}, and it is in use: stop the daemon that has it, or choose another HVD_INSTANCE")
    cells = Block(fd, layout, name).cells
    pids = [cells[layout.slot_cell(number) + at.S_PID] for number in range(layout.slots)]
    alive = ", ".join(str(pid) for pid in pids if pid and _pid_exists(pid))
    return BlockInUse(
        f"block {name} is held by processes that should have ended with their master"
        f"{f' (pid {alive})' if alive else ''}: end them, or choose another HVD_INSTANCE"
    )


def _pid_exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
