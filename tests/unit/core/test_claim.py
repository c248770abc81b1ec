"""The claim to a block: one process has it at a time, and none that is dead."""

import os
import signal
import threading
from pathlib import Path

import pytest

from hvd.core.claim import take_claim
from hvd.errors import BlockInUse
from tests.unit.core.support import fork


def test_one_process_has_the_claim(tmp_path: Path, name: str) -> None:
    """Of each name; another folder's file system has claims of its own."""
    claim = take_claim(tmp_path, name, 0)
    with pytest.raises(BlockInUse, match=f"block {name} belongs to a daemon that is running"):
        take_claim(tmp_path, name, 0.05)
    for other in (take_claim(tmp_path, f"{name}-other", 0), take_claim(Path("/dev/shm"), name, 0)):
        os.close(other)
    os.close(claim)
    os.close(take_claim(tmp_path, name, 0))


def test_the_claim_ends_with_its_holder(tmp_path: Path, name: str) -> None:
    """However that ends; whoever waits for it a little has it then."""
    reader, writer = os.pipe()

    def hold() -> None:
        take_claim(tmp_path, name, 0)
        os.write(writer, b".")
        signal.pause()

    pid = fork(hold)
    assert os.read(reader, 1) == b"."
    timer = threading.Timer(0.1, os.kill, (pid, signal.SIGKILL))
    timer.start()
    os.close(take_claim(tmp_path, name, 20))
    timer.join()
    os.waitpid(pid, 0)
    os.close(reader)
    os.close(writer)


def test_no_program_inherits_the_claim(tmp_path: Path, name: str) -> None:
    """A companion would keep it beyond the master."""
    claim = take_claim(tmp_path, name, 0)
    assert not os.get_inheritable(claim)
    os.close(claim)
