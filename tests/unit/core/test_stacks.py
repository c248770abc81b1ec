"""The memory file of stacks: what is left in a region, whoever writes it, and by whose position."""

import faulthandler
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from hvd.core.stacks import AREA, CRASHED, DUMPED, MOST, REGION, TAKEN, StackFile, rewind, written
from tests.support.waiting import until
from tests.unit.core.support import ended, fork, forked, no_descriptor

SIGNAL = signal.SIGRTMIN + 5


@pytest.fixture
def file() -> Iterator[StackFile]:
    stacks = StackFile()
    yield stacks
    os.close(stacks.fd)


def test_a_text_is_read_as_it_was_written(file: StackFile) -> None:
    """A shorter one ends where it ends; regions and areas are apart, and nothing of them costs memory before."""
    assert file.read(3) == ""
    file.write(3, "a much longer text\n")
    file.write(3, "kürzer\n")
    file.write(4, "another's\n")
    assert [file.read(slot) for slot in (2, 3, 4)] == ["", "kürzer\n", "another's\n"]
    assert (file.read(3, DUMPED), file.read(3, CRASHED)) == ("", "")
    assert os.fstat(file.fd).st_blocks * 512 <= 4 * 4096


def test_a_text_is_bounded(file: StackFile) -> None:
    """Written and read; what follows it is as it was."""
    file.write(0, "x" * (2 * MOST))
    assert file.read(0) == "x" * (MOST - 1)
    file.write(0, "a\0b\ud800")
    assert file.read(0) == "ab?"
    assert file.read(0, DUMPED) == ""


def test_a_region_is_cleared_for_its_next_process(file: StackFile) -> None:
    """All three areas, and the request that nobody has answered; the others stay."""
    for area, text in ((DUMPED, b"dumped"), (CRASHED, b"crashed")):
        fd = file.open_area(1, area)
        os.write(fd, text)
        os.close(fd)
    file.answer(1, 7, "answered")
    file.ask(1, 8)
    file.write(2, "stays")
    assert (file.read(1), file.read(1, DUMPED), file.read(1, CRASHED)) == ("answered", "dumped", "crashed")
    assert (file.request_of(1), file.answered(1)) == (8, 7)
    file.clear(1)
    assert [file.read(1, area) for area in (TAKEN, DUMPED, CRASHED)] == ["", "", ""]
    assert (file.request_of(1), file.answered(1), file.read(2)) == (0, 0, "stays")


def test_the_parent_says_where_its_child_dumps(file: StackFile) -> None:
    """Again and again at the start: the child runs no code for it, but its handler of a signal."""
    opened = file.open_area(5, DUMPED)

    def live() -> None:
        faulthandler.register(SIGNAL, file=opened, all_threads=True)
        file.write(5, "ready")
        while True:
            signal.pause()

    with forked(live) as pid:
        until(lambda: file.read(5) == "ready", "the child is ready")
        for _ in range(3):
            file.clear_area(5, DUMPED)
            rewind(opened, 5, DUMPED)
            assert written(opened, 5, DUMPED) == 0
            os.kill(pid, SIGNAL)
            until(lambda: "in fork\n" in file.read(5, DUMPED), "the child has dumped its stack")
            dump = file.read(5, DUMPED)  # before the other one: it may still grow
            assert dump.startswith("Current thread 0x")
            assert written(opened, 5, DUMPED) >= len(dump)
    os.close(opened)


def test_a_process_that_crashes_leaves_its_stack(file: StackFile) -> None:
    """Where the file was opened for it, and nowhere else."""
    opened = file.open_area(6, CRASHED)

    def crash() -> None:
        faulthandler.disable()
        faulthandler.enable(file=opened)
        os.kill(os.getpid(), signal.SIGSEGV)

    assert ended(fork(crash)) == -signal.SIGSEGV
    os.close(opened)
    assert file.read(6, CRASHED).startswith("Fatal Python error: Segmentation fault\n\nCurrent thread 0x")
    assert "in crash\n" in file.read(6, CRASHED)
    assert (file.read(6), file.read(6, DUMPED), file.read(7)) == ("", "", "")


def test_the_file_is_the_one_behind_the_descriptor(file: StackFile) -> None:
    """So a process that inherits it reads what others write; areas don't overlap."""
    file.write(9, "seen")
    assert StackFile(file.fd).read(9) == "seen"
    assert REGION >= (CRASHED + 1) * AREA


def test_without_what_it_needs_there_is_an_error(file: StackFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A descriptor, and /proc for what a parent and a child open together."""
    with no_descriptor(), pytest.raises(OSError, match="Too many open files"):
        StackFile()
    monkeypatch.setattr("hvd.core.stacks._BY_NUMBER", "/nowhere/{}")
    with pytest.raises(FileNotFoundError):
        file.open_area(0, DUMPED)


def test_a_file_that_has_its_number_by_now_is_not_written_to(file: StackFile, tmp_path: Path) -> None:
    """Code of the app has closed all descriptors that it did not know, and opened others."""
    fd = file.fd
    assert file.is_open_in(os.getpid(), fd)
    kept = os.dup(fd)
    with open(tmp_path / "theirs", "wb") as theirs:
        os.dup2(theirs.fileno(), fd)
        for write in (lambda: file.answer(0, 1, "text"), lambda: file.ask(0, 1), lambda: file.write(0, "text")):
            with pytest.raises(OSError, match="Bad file descriptor"):
                write()
        assert not file.is_open_in(os.getpid(), fd)
        assert theirs.seek(0, os.SEEK_END) == 0
    os.dup2(kept, fd)
    os.close(kept)
    file.write(0, "text")
    assert file.read(0) == "text"
