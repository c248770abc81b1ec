"""Arguments, and options through a real memory file, from the master's side to the companion's."""

import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from hvd.companion.options import DESCRIPTOR, Command, Options, OptionsFile, inherited_fds

COMMAND = Command("hvd-a", 3, 4711, {"block": 5, "wake": 6})


def test_what_the_master_says_arrives() -> None:
    """Names and numbers, and nothing else."""
    assert Command.parse("hvd.x", COMMAND.descriptors, COMMAND.arguments()) == COMMAND


def test_each_descriptor_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, as for any wrong use of a command."""
    with pytest.raises(SystemExit, match="2"):
        Command.parse("hvd.x", (*COMMAND.descriptors, "events"), COMMAND.arguments())
    assert "--events-fd" in capsys.readouterr().err


def test_a_process_with_the_code_of_the_disk_has_nothing_to_pass_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """As this one; another one has the descriptor of the archive, see tests/unit/daemon/test_code.py."""
    assert inherited_fds() == []
    monkeypatch.setattr(sys, "path", [DESCRIPTOR.format(17), *sys.path])
    assert inherited_fds() == [17]


@dataclass(frozen=True)
class Sample(Options):
    """Options of some companion."""

    text: str


@pytest.fixture
def file() -> Iterator[OptionsFile]:
    file = OptionsFile()
    yield file
    os.close(file.fd)


def read(file: OptionsFile) -> Sample:
    return Sample.from_json(file.read())


def test_shorter_options_leave_nothing_of_longer_ones(file: OptionsFile) -> None:
    """Nor the other way round; and they are read as often as one wants."""
    for text in ("", "ü" * 10_000, "x", "ü"):
        file.write(Sample("info", text))
        assert read(file) == read(file) == Sample("info", text)


def test_another_descriptor_of_the_file_reads_them(file: OptionsFile) -> None:
    """Wherever the file position is, which both share."""
    file.write(Sample("info", "a"))
    other = OptionsFile(os.dup(file.fd))
    os.lseek(file.fd, 17, os.SEEK_SET)
    assert read(other) == Sample("info", "a")
    os.close(other.fd)


@pytest.mark.parametrize("damage", ["nothing", "cut", "changed"])
def test_half_written_options_are_no_options(file: OptionsFile, damage: str) -> None:
    """ValueError, so that whoever reads them goes on with those that it has, until the master's signal."""
    if damage != "nothing":
        file.write(Sample("info", "a"))
    if damage == "cut":
        os.ftruncate(file.fd, os.fstat(file.fd).st_size - 1)
    if damage == "changed":
        os.pwrite(file.fd, b"b", os.fstat(file.fd).st_size - 3)
    with pytest.raises(ValueError, match="has not written"):
        file.read()


def test_a_write_that_is_under_way_is_waited_for(file: OptionsFile) -> None:
    """It takes some microseconds."""
    writer = threading.Timer(0.002, file.write, [Sample("info", "a")])
    writer.start()
    assert read(file) == Sample("info", "a")
    writer.join()
