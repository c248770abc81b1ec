"""The file by which commands find a daemon's admin address."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from hvd.core.proc import start_ticks
from hvd.settings.admin_record import RECORD, AdminRecord, read_record

OURS = AdminRecord("shop", "unix:/run/admin.sock", "127.0.0.1:1", os.getpid(), start_ticks(os.getpid()), "0.1.0")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """By this user alone; a second one takes the first one's place, and nothing else is left."""
    OURS.write(tmp_path)
    replace(OURS, bind="unix:/x").write(tmp_path)
    assert read_record(tmp_path) == replace(OURS, bind="unix:/x")
    assert os.listdir(tmp_path) == [RECORD]
    assert (tmp_path / RECORD).stat().st_mode & 0o777 == 0o600


def test_a_record_is_stale_once_its_master_is_gone() -> None:
    """Also where another process has its pid by now."""
    assert not OURS.is_stale
    assert replace(OURS, started=1).is_stale
    assert replace(OURS, pid=2**22 + 1).is_stale


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", "[" * 100_000, json.dumps({**OURS.__dict__, "pid": "1"}), "\0\xff"]
)
def test_what_is_no_record_is_none(tmp_path: Path, text: str) -> None:
    """Whatever is there."""
    (tmp_path / RECORD).write_text(text)
    assert read_record(tmp_path) is None


def test_only_a_file_is_read(tmp_path: Path) -> None:
    """No link, no FIFO that nobody writes, nothing at all."""
    assert read_record(tmp_path) is None
    os.mkfifo(tmp_path / RECORD)
    assert read_record(tmp_path) is None
    other = tmp_path / "other"
    other.mkdir()
    OURS.write(other)
    (tmp_path / RECORD).unlink()
    (tmp_path / RECORD).symlink_to(other / RECORD)
    assert read_record(tmp_path) is None


def test_a_record_that_can_not_be_put_there_leaves_nothing(tmp_path: Path) -> None:
    """Not even a part of it."""
    (tmp_path / RECORD).mkdir()
    with pytest.raises(OSError, match="directory"):
        OURS.write(tmp_path)
    assert os.listdir(tmp_path) == [RECORD]
