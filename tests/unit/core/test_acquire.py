"""How a master comes by a block: made, taken over, shared, refused, set aside."""

import contextlib
import fcntl
import gc
import os
import signal
import socket
import threading
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hvd.core import layout
from hvd.core.acquire import acquire
from hvd.core.block import DIRECTORY, Block, open_block
from hvd.core.durations import TIMED_CELLS
from hvd.core.layout import Layout
from hvd.core.locks import Passed
from hvd.core.slots import Slots
from hvd.errors import BlockForeign, BlockInUse, BlockLocked
from tests.support.waiting import until
from tests.unit.core.support import SMALL, fork, keeping_locked, standing


def holder(name: str, work: Callable[[Block], object] = lambda block: None) -> contextlib.AbstractContextManager[int]:
    """A process that acquires the block, does something with it, and stands still."""
    return standing(lambda: work(acquire(name, SMALL)[0]))


def start(name: str, **options: Any) -> tuple[bool, Layout]:
    """What a master that starts, and ends at once, gets: whether the block was there, and its layout."""
    block, existed = acquire(name, SMALL, wait=0, **options)
    block.release_claim()
    os.close(block.fd)
    return existed, block.layout


def let_go(block: Block) -> None:
    """Hold the block no longer."""
    block.release_claim()
    fcntl.flock(block.fd, fcntl.LOCK_UN)


def test_the_block_of_a_killed_owner_is_taken_over(name: str) -> None:
    """With what was in it, and with its own number of slots and series, whatever is asked for."""
    with holder(name, lambda block: block.cells.__setitem__(block.layout.row_cell(1, 1), 7)):
        pass
    block, existed = acquire(name, Layout(40, 9, 100, TIMED_CELLS), wait=0)
    assert existed
    assert block.layout == SMALL
    assert block.cells[SMALL.row_cell(1, 1)] == 7
    os.close(block.fd)


def test_a_block_whose_owner_lives_is_refused_untouched(name: str) -> None:
    """The message names the master, and what to do."""
    with holder(name, lambda block: block.add_master(os.getpid())) as pid:
        before = (DIRECTORY / name).read_bytes()
        with pytest.raises(BlockInUse, match=rf"master pid {pid}\).*HVD_INSTANCE"):
            acquire(name, SMALL, wait=0)
        assert (DIRECTORY / name).read_bytes() == before
        os.kill(pid, 0)


def test_a_start_waits_for_the_processes_of_a_killed_master(name: str) -> None:
    """It says so once, and goes on when they have ended."""
    messages: list[str] = []
    with holder(name, Block.release_claim) as pid:
        timer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
        timer.start()
        block, existed = acquire(name, SMALL, wait=20, warn=messages.append)
        timer.join()
    assert existed
    assert len(messages) == 1
    assert name in messages[0]
    os.close(block.fd)


def test_processes_that_outlive_their_master_are_named(name: str) -> None:
    """Where they don't end in time: somebody has to do it."""

    def work(block: Block) -> None:
        block.release_claim()
        Slots(block).claim(layout.KIND_WORKER, os.getpid(), os.getpid())

    with (
        holder(name, work) as pid,
        pytest.raises(BlockInUse, match=rf"processes \(pid {pid}\) hold block {name}, and don't end"),
    ):
        acquire(name, SMALL, wait=0.1)


@pytest.mark.parametrize("is_upgrade", [False, True])
def test_a_start_does_not_wait_for_a_stopped_process(block: Block, is_upgrade: bool) -> None:
    """One that keeps the mutation lock: not for longer than for any other; it is named."""
    passed = Passed(block.share(), os.dup(block.claim)) if is_upgrade else None
    block.release_claim()
    with keeping_locked(block) as pid, pytest.raises(BlockLocked, match=f"process {pid} keeps block {block.name} lock"):
        acquire(block.name, SMALL, upgrade=is_upgrade, passed=passed, wait=0.1)


def test_an_upgrade_shares_the_block(block: Block) -> None:
    """By the descriptors that are passed on, whether it has a name or not. The last of the two removes it."""
    block.add_master(os.getpid())

    def upgrade() -> None:
        shared, existed = acquire(block.name, SMALL, upgrade=True, passed=Passed(block.share(), block.claim))
        assert existed
        shared.add_master(os.getpid())
        assert not os.get_inheritable(shared.claim)

    for remove in (False, True):
        if remove:
            block.file_name.remove()
        with standing(upgrade) as pid:
            assert block.masters() == [os.getpid(), pid]
            assert not block.remove_if_last()
            assert block.path.exists() != remove
        fcntl.flock(block.fd, fcntl.LOCK_SH)
    assert block.remove_if_last()
    assert not block.path.exists()


def test_of_masters_that_start_at_once_one_gets_the_block(name: str) -> None:
    """The others get a clear error, and the block is whole."""
    gate, opened = socket.socketpair()

    def start() -> None:
        opened.recv(1)
        try:
            acquire(name, SMALL, wait=0)
        except BlockInUse:
            os._exit(3)
        signal.pause()

    children = [fork(start) for _ in range(6)]
    gate.sendall(b"." * 6)
    losers: dict[int, int] = {}

    def five_have_ended() -> bool:
        for pid in set(children) - set(losers):
            ended_pid, status = os.waitpid(pid, os.WNOHANG)
            if ended_pid:
                losers[pid] = os.waitstatus_to_exitcode(status)
        return len(losers) >= 5

    try:
        until(five_have_ended, "five masters have given up")
        assert list(losers.values()) == [3] * 5
        view = open_block(name)
        assert view.layout == SMALL
        os.close(view.fd)
    finally:
        for pid in set(children) - set(losers):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        gate.close()
        opened.close()


def header(**cells: int) -> bytes:
    """The header of a small block, with some cells changed."""
    names = {"h_magic": layout.MAGIC, "h_format": layout.FORMAT, "h_slots": SMALL.slots, "h_rows": SMALL.rows}
    names |= {"h_series": SMALL.series, "h_checksum": SMALL.checksum, **cells}
    page = bytearray(layout.PAGE)
    for name, value in names.items():
        memoryview(page).cast("q")[getattr(layout, name.upper())] = value
    return bytes(page)


FOREIGN = {"empty": b"", "short": b"HVDBLOC", "of something else": os.urandom(100_000)}

UNUSABLE = {
    "only begun": b"HVDBLOCK",
    "of another format": header(h_format=layout.FORMAT + 1).ljust(SMALL.size, b"\0"),
    "with a header that does not agree": header(h_slots=SMALL.slots + 1).ljust(SMALL.size, b"\0"),
    "with absurd numbers": header(h_slots=2**62, h_rows=-1).ljust(SMALL.size, b"\0"),
    "cut short": header().ljust(SMALL.size - layout.PAGE, b"\0"),
    "too long": header().ljust(SMALL.size + layout.PAGE, b"\0"),
}


def assert_refused_untouched(path: Path, *, upgrade: bool, match: str) -> None:
    """Not a byte, its time or its lock is changed; the message names it and says what to do."""
    os.utime(path, (1, 1))
    content = path.read_bytes()
    with pytest.raises(BlockForeign, match=f"{path.name}.*{match}"):
        acquire(path.name, SMALL, upgrade=upgrade, wait=0)
    assert path.stat().st_mtime == 1
    assert path.read_bytes() == content
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("upgrade", [False, True], ids=["start", "upgrade"])
def test_a_segment_that_is_not_a_block_is_refused_untouched(name: str, content: bytes, upgrade: bool) -> None:
    """Another program may have made it."""
    (DIRECTORY / name).write_bytes(content)
    assert_refused_untouched(DIRECTORY / name, upgrade=upgrade, match="HVD_INSTANCE")


@pytest.mark.parametrize("content", UNUSABLE.values(), ids=UNUSABLE)
def test_a_block_that_cannot_be_used_is_set_aside(name: str, content: bytes) -> None:
    """With a warning; the start goes on with a block of its own. An upgrade leaves it as it is."""
    path, warnings = DIRECTORY / name, list[str]()
    path.write_bytes(content)
    assert_refused_untouched(path, upgrade=True, match="HVD_INSTANCE")
    assert start(name, warn=warnings.append) == (False, SMALL)
    (aside,) = DIRECTORY.glob(f"{name}.aside-*")
    assert aside.read_bytes() == content
    (warning,) = warnings
    assert f"it is kept as {aside}, " in warning


def test_a_block_that_its_check_refuses_is_set_aside(block: Block, name: str) -> None:
    """As a master's does, which reads the catalogue. Nobody holds the block; a damage doesn't hide its totals."""

    def check(block: Block) -> None:
        raise BlockForeign(f"block {block.name} is odd")

    warnings = list[str]()
    mark = 7
    for number in range(SMALL.slots * SMALL.rows):
        head = SMALL.first_row // layout.CELL + number * SMALL.row_cells
        block.cells[head : head + 4] = memoryview(array("q", [mark, mark - 1, 1, number]))
    let_go(block)
    assert start(name, warn=warnings.append, check=check) == (False, SMALL)
    rows = SMALL.slots * SMALL.rows
    assert f"its last totals: {7 * rows} requests started, {6 * rows} finished, {rows} aborted, " in warnings[0]
    assert warnings[0].startswith(f"block {name} is odd; it is kept as ")


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (layout.H_CELLS_USED, 1 << 40),
        *((SMALL.slot_cell(9) + layout.S_ROWS, 1 << 40), (SMALL.slot_cell(9) + layout.S_ENTRIES, SMALL.entries + 1)),
    ],
    ids=["cells used", "rows of a slot", "entries of a slot"],
)
def test_a_block_that_says_of_itself_what_cannot_be_is_set_aside(block: Block, cell: int, value: int) -> None:
    """Though its header is whole."""
    block.cells[cell] = value
    let_go(block)
    warnings = list[str]()
    assert start(block.name, warn=warnings.append) == (False, SMALL)
    assert f"block {block.name} is damaged" in warnings[0]


def test_a_block_of_another_format_that_is_held_is_refused(name: str) -> None:
    """Its daemon lives: nothing is renamed, nothing changed."""

    def make_foreign(block: Block) -> None:
        block.release_claim()
        block.cells[layout.H_FORMAT] += 1

    with holder(name, make_foreign):
        before = (DIRECTORY / name).read_bytes()
        with pytest.raises(BlockForeign, match=rf"{name} has format {layout.FORMAT + 1}, .*in use: stop the daemon"):
            acquire(name, SMALL, wait=0)
        assert (DIRECTORY / name).read_bytes() == before
    assert not list(DIRECTORY.glob(f"{name}.aside-*"))


def test_an_upgrade_to_another_format_says_what_to_do_instead(block: Block) -> None:
    """The old daemon keeps its block as it was."""
    block.cells[layout.H_FORMAT] += 1
    passed = Passed(block.share(), os.dup(block.claim))
    with pytest.raises(BlockForeign, match=rf"has format {layout.FORMAT + 1}, .*serves on: stop it, then start this"):
        acquire(block.name, SMALL, upgrade=True, passed=passed)
    block.cells[layout.H_FORMAT] -= 1
    assert (DIRECTORY / block.name).exists()


@pytest.mark.parametrize("kind", ["symlink", "dangling symlink", "fifo", "folder", "socket"])
def test_what_is_no_file_is_refused(name: str, tmp_path: Path, kind: str) -> None:
    """At once: nothing is followed, opened for good or waited for."""
    path, target = DIRECTORY / name, tmp_path / "target"
    target.write_bytes(header().ljust(SMALL.size, b"\0"))
    with contextlib.ExitStack() as stack:
        if "symlink" in kind:
            path.symlink_to(target if kind == "symlink" else tmp_path / "nothing")
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
            stack.callback(path.rmdir)
        else:
            stack.enter_context(socket.socket(socket.AF_UNIX)).bind(str(path))
        with pytest.raises(BlockForeign, match=name):
            acquire(name, SMALL, wait=0)
    assert target.stat().st_size == SMALL.size
    assert not (tmp_path / "nothing").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("what", ["segment", "symlink"])
def test_a_name_that_another_user_has_taken_is_evaded(name: str, tmp_path: Path, what: str) -> None:
    """Even where the rights would allow to use it: its owner could change it under us. Nobody can guess the new name,
    and the next start finds it, after a crash too.
    """
    path, warnings = DIRECTORY / name, list[str]()
    if what == "segment":
        path.write_bytes(header().ljust(SMALL.size, b"\0"))
    else:
        path.symlink_to(tmp_path / "elsewhere")
    os.chown(path, 12345, 12345, follow_symlinks=False)
    block, existed = acquire(name, SMALL, wait=0, warn=warnings.append)
    assert not existed
    assert block.name.startswith(f"{name}+")
    assert len(block.name) == len(name) + 17
    assert warnings == [f"{path} is another user's: the block is {block.path}"]
    assert (block.path.stat().st_mode & 0o777, block.file_name.spare.exists()) == (0o600, True)
    passed = Passed(block.share(), os.dup(block.claim))
    other, _ = acquire(name, SMALL, upgrade=True, passed=passed)
    assert other.name == block.name
    for one in (other, block):
        let_go(one)
    again, existed = acquire(name, SMALL, wait=0)
    assert (existed, again.name) == (True, block.name)
    again.remove_if_last()
    again.release_claim()
    os.close(again.fd)
    assert [file.name for file in DIRECTORY.glob(f"{name}*")] == [name]
    assert path.lstat().st_uid == 12345
    path.unlink()


def test_a_living_daemon_is_not_doubled_when_its_name_is_gone(block: Block) -> None:
    """Nobody could find its block, which is still in use."""
    block.file_name.remove()
    with pytest.raises(BlockInUse, match="belongs to a daemon that is running: stop it"):
        acquire(block.name, SMALL, wait=0)
    assert not block.path.exists()
    block.release_claim()
    assert start(block.name) == (False, SMALL)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_claim_of_a_stranger_is_done_without(name: str) -> None:
    """Any user can bind it. The lock on the block decides then: a second start is refused all the same."""
    address = f"\0hvd/{os.stat(DIRECTORY).st_dev:x}/{os.geteuid()}/{name}"

    def squat() -> None:
        os.setresuid(12345, 12345, 12345)
        stranger = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stranger.bind(address)
        stranger.detach()

    with standing(squat):
        warnings: list[str] = []
        block, existed = acquire(name, SMALL, wait=0, warn=warnings.append)
        assert not existed
        (line,) = warnings
        assert line.split(" holds ")[1].split(" ")[0] in Path("/proc/net/unix").read_text().split()
        block.add_master(os.getpid())
        with pytest.raises(BlockInUse, match=rf"processes \(pid {os.getpid()}\) hold"):
            acquire(name, SMALL, wait=0.2, warn=warnings.append)
        assert warnings[-1].startswith(
            f"block {name} is held by a daemon that runs (master pid {os.getpid()}); waiting"
        )
    block.remove_if_last()
    block.release_claim()
    os.close(block.fd)


def test_removal_leaves_a_later_segment_of_that_name(block: Block) -> None:
    """Somebody removed ours by hand and another daemon has made its own."""
    block.path.unlink()
    block.release_claim()
    later, existed = acquire(block.name, SMALL)
    assert not existed
    assert block.remove_if_last()
    assert later.path.exists()
    assert later.remove_if_last()
    assert not later.path.exists()
    assert later.remove_if_last(), "what is gone already is no error"
    os.close(later.fd)


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_looking_at_what_is_no_block_leaves_no_descriptor(name: str, content: bytes) -> None:
    """However often a monitor tries."""
    (DIRECTORY / name).write_bytes(content)
    gc.collect()  # a block of another test may have a descriptor yet
    before = len(os.listdir("/proc/self/fd"))
    for attempt in (lambda: open_block(name), lambda: acquire(name, SMALL, wait=0)):
        with pytest.raises(BlockForeign):
            attempt()
    assert len(os.listdir("/proc/self/fd")) == before
