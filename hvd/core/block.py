"""The shared-memory segment: how it is attached, locked and removed. acquire.py has how a master gets it.

The segment is POSIX shared memory, `/dev/shm/hvd-<instance>` on Linux (shm_overview(7)). It is opened by path and not
through `multiprocessing.shared_memory.SharedMemory`, which opens the same file: that class starts a resource tracker
process which unlinks the segment when the master is killed, or when a reader ends (decision 12 wants it kept), and
keeps the descriptor, on which the locks below rest, private. From outside use `open_block`.

Three kinds of lock, all dropped by the kernel when their holder dies:
- the claim, see locks.py. A process that has it is the only master, or was started by the other one for an upgrade.
- ownership: flock(2), shared, on the master's open file description, which workers and companions inherit. So where
  the lock can be taken exclusively, no process of the block's daemon lives.
- mutation: a POSIX record lock, held for the microseconds in which a process takes a slot, appends a
  series or writes a post-mortem. A thread lock beside it excludes the threads of one process.
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

from hvd.core import layout, locks
from hvd.core.descriptors import fill_standard, leads_to
from hvd.core.durations import TIMED_CELLS
from hvd.core.layout import Layout
from hvd.core.libc import ctypes
from hvd.core.locks import LOCK_WAIT
from hvd.core.name import Name
from hvd.core.proc import exists
from hvd.errors import BlockError, BlockForeign, BlockFull, BlockLocked

DIRECTORY = Path("/dev/shm")  # nosec B108  # what others may have put there: name.py, acquire.py

MAP_FIXED = 0x10  # asm-generic/mman-common.h

_blocks: "weakref.WeakSet[Block]" = weakref.WeakSet()
"""All of this process. Weak references: a mapping keeps its descriptor open for as long as it is referred to."""


def _after_fork() -> None:
    for block in _blocks:
        block.new_thread_lock()


os.register_at_fork(after_in_child=_after_fork)


class Block:
    """A mapped segment. `cells` is all of it as int64 cells, `floats` as float64 cells, `raw` the same as bytes.

    Whole-cell loads and stores through `cells` are single machine accesses; who may store where is said in
    layout.py. Safe to use in forked children: the mapping is shared, and the mutation lock is a process's own.
    """

    def __init__(self, fd: int, shape: Layout, name: str) -> None:
        self.fd = fd
        self.file = os.fstat(fd)
        self.claim = -1  # a master's descriptor, see locks.py
        self.layout = shape
        self.name = name
        self.file_name = Name(DIRECTORY / name, fd)
        self._map = map_segment(fd, shape.size)
        self.raw = memoryview(self._map)
        self.cells = self.raw.cast("q")
        self.floats = self.raw.cast("d")
        self._thread_lock = threading.RLock()
        self._depth = 0
        self._no_wait_until = 0.0
        _blocks.add(self)

    def new_thread_lock(self) -> None:
        """In a forked child: a lock that no thread of the parent holds."""
        self._thread_lock = threading.RLock()
        self._depth = 0

    @contextlib.contextmanager
    def locked(self, wait: float = LOCK_WAIT) -> Iterator[None]:
        """Hold the mutation lock. Re-entrant in a thread; excludes other threads and processes.

        Raises BlockLocked where another process keeps it for longer than `wait` seconds, or it can't be reached.
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
        self._keep_descriptor()
        if not locks.take(self.fd, wait if time.monotonic() >= self._no_wait_until else 0.0):
            self._no_wait_until = time.monotonic() + locks.BACKOFF
            raise BlockLocked(locks.complaint(self.fd, self.name))

    def _keep_descriptor(self) -> None:
        """Open the segment again where code of the app has closed the descriptor, with others that it doesn't know.

        Its number may be another file's by now, which would be locked and enlarged instead. Raises BlockLocked where
        neither name of the segment can be opened, as for want of leave.
        """
        if leads_to(self.fd, self.file):
            return
        for path in (self.file_name.path, self.file_name.spare):
            with contextlib.suppress(OSError):
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
                if leads_to(fd, self.file):
                    self.fd, self.file_name = fd, Name(self.file_name.path, fd)
                    return
                os.close(fd)
        raise BlockLocked(f"block {self.name} can't be locked: its descriptor was closed by other code in this process")

    def reserve(self, cell: int, count: int) -> None:
        """Set memory aside for so many cells from this one on. Raises BlockFull where the file system has none.

        The segment is sparse; a store into a page for which no memory is left would end the process by SIGBUS.
        """
        try:
            os.posix_fallocate(self.fd, cell * layout.CELL, count * layout.CELL)
        except OSError as error:
            raise BlockFull(
                f"block {self.name} can't grow: {error.strerror} in {DIRECTORY}; make that file system larger"
            ) from None

    def share(self) -> int:
        """A descriptor with an ownership lock of its own, for another master: the block is that master's from now on.

        Raises BlockingIOError where a process holds the block exclusively, to remove it.
        """
        fd = os.open(f"/proc/self/fd/{self.fd}", os.O_RDWR | os.O_CLOEXEC)  # its file need not have a name any more
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def disown(self) -> None:
        """In a forked child: do without the ownership lock, or the next daemon would wait for this process's end.

        The lock goes with the last descriptor and mapping of the parent's open file description (flock(2)). So all
        of them are replaced by others of the same file, at the same address. That drops the mutation lock too, if this
        process has it (fcntl_locking(2)). Raises OSError.
        """
        fresh, file = os.open(f"/proc/self/fd/{self.fd}", os.O_RDWR | os.O_CLOEXEC), os.fstat(self.fd)
        try:
            replace_map(self._map, fresh)
            for number in map(int, os.listdir("/proc/self/fd")):
                with contextlib.suppress(OSError):
                    if number != fresh and os.path.samestat(os.fstat(number), file):
                        os.dup2(fresh, number, inheritable=False)
        finally:
            os.close(fresh)

    def release_claim(self) -> None:
        """Close the claim's descriptor, in a process that is not the master, or no longer."""
        if self.claim >= 0:
            os.close(self.claim)
            self.claim = -1

    @property
    def path(self) -> Path:
        return self.file_name.path

    def masters(self) -> list[int]:
        """Pids that the header names as masters, alive or not."""
        return [pid for pid in self.cells[layout.H_MASTERS : layout.H_MASTERS + layout.MASTERS] if pid]

    def add_master(self, pid: int) -> None:
        """Name a master in the header. The caller holds the mutation lock."""
        for index in range(layout.H_MASTERS, layout.H_MASTERS + layout.MASTERS):
            if self.cells[index] in (0, pid) or not exists(self.cells[index]):
                self.cells[index] = pid
                return

    def say_missing(self, pid: int, workers: int) -> None:
        """Write into the header how many workers this master should have, and can't start."""
        for index in range(layout.MASTERS):
            if self.cells[layout.H_MASTERS + index] == pid:
                self.cells[layout.H_MISSING + index] = workers

    def missing(self) -> int:
        """How many workers the masters alive should have, and can't start."""
        masters, missing = (
            self.cells[first : first + layout.MASTERS] for first in (layout.H_MASTERS, layout.H_MISSING)
        )
        return sum(workers for pid, workers in zip(masters, missing, strict=True) if exists(pid))

    def drop_master(self, pid: int) -> None:
        """Take a master out of the header. Needs no lock: no other process stores there while that master lives."""
        for index in range(layout.H_MASTERS, layout.H_MASTERS + layout.MASTERS):
            if self.cells[index] == pid:
                self.cells[index] = 0

    def remove_if_last(
        self, is_used: Callable[[], bool] = lambda: False, keep: Callable[[], bool] = lambda: True
    ) -> bool:
        """Unlink the segment unless another master's processes hold it. -> whether none do.

        It also stays where it `is_used` without being held, by processes that have joined, and where `keep`, which is
        called while no other master can have it, was to write its totals elsewhere and says that it could not.
        """
        try:
            self._keep_descriptor()
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, BlockLocked):
            # A failed conversion drops the lock that this process had (flock(2)), which ends anyway.
            return False
        is_kept = keep()  # without the mutation lock: it may take seconds
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(BlockLocked):  # without it: a start that comes just now may have to try once more
                stack.enter_context(self.locked())
            if is_used() or not is_kept:
                self.file_name.drop_spare()  # no master is there to use it
                fcntl.flock(self.fd, fcntl.LOCK_UN)
            else:
                self.file_name.remove()
            return True


def attach(fd: int, name: str) -> Block:
    """The block behind a descriptor inherited from the master. Raises BlockForeign."""
    return Block(fd, read_layout(fd, name, os.fstat(fd).st_uid), name)  # the master may be another user


def open_block(name: str) -> Block:
    """The block of that name, for looking at it from outside. Raises BlockError, FileNotFoundError."""
    fill_standard()
    fd = os.open(DIRECTORY / name, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return Block(fd, read_layout(fd, name), name)
    except BaseException:
        os.close(fd)
        raise


def map_segment(fd: int, size: int) -> mmap.mmap:
    """Map that many bytes of the segment. Raises BlockError where there is no room for them."""
    try:
        return mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    except (OSError, OverflowError, ValueError) as error:
        raise BlockError(
            f"a block of {size / 2**30:,.1f} GiB of addresses, not of memory, can't be mapped ({error}): allow them "
            "(ulimit -v, LimitAS=), or set slots, threads or max_series lower"
        ) from None


def replace_map(map: mmap.mmap, fd: int) -> None:
    """Map the same segment by another descriptor, at the same address. Raises OSError."""
    remap = ctypes.CDLL(None, use_errno=True).mmap
    remap.restype = ctypes.c_void_p
    remap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
    first = ctypes.c_char.from_buffer(map)
    address, how = ctypes.addressof(first), mmap.MAP_SHARED | MAP_FIXED
    del first
    if remap(address, len(map), mmap.PROT_READ | mmap.PROT_WRITE, how, fd, 0) != address:
        raise OSError(ctypes.get_errno(), "the block can't be mapped anew")


def check_owner(fd: int, name: str, owner: int | None = None) -> None:
    """Raises BlockForeign where the segment isn't a file of that user's; None: this process's."""
    file, user = os.fstat(fd), os.geteuid() if owner is None else owner
    if not stat.S_ISREG(file.st_mode) or file.st_uid != user:
        raise BlockForeign(f"segment {name} is not a file of this user (owner uid {file.st_uid})")


def read_layout(fd: int, name: str, owner: int | None = None) -> Layout:
    """The layout that the header tells. Raises BlockForeign, having changed nothing."""
    check_owner(fd, name, owner)
    header, size = os.pread(fd, layout.PAGE, 0), os.fstat(fd).st_size
    if len(header) < layout.PAGE:
        raise BlockForeign(f"segment {name} has {size} bytes: it is not a block of hvd")
    cells = memoryview(header).cast("q")
    if cells[layout.H_MAGIC] != layout.MAGIC:
        raise BlockForeign(f"segment {name} does not begin as a block of hvd does")
    if cells[layout.H_FORMAT] != layout.FORMAT:
        raise BlockForeign(f"block {name} has format {cells[layout.H_FORMAT]}, this hvd writes {layout.FORMAT}")
    numbers = cells[layout.H_SLOTS], cells[layout.H_ROWS], cells[layout.H_SERIES]
    shape = Layout(*numbers, TIMED_CELLS, cells[layout.H_ENTRIES], cells[layout.H_OWN_SERIES])
    if cells[layout.H_CHECKSUM] != shape.checksum or size != shape.size:
        raise BlockForeign(f"block {name} is damaged: its header and its size don't agree")
    return shape
