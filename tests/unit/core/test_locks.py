"""The claim and the mutation lock: had by one process at a time, and by none that is dead."""

import os
import signal
import threading
import time
from pathlib import Path

import gevent
import pytest

from hvd.core import locks
from hvd.core.block import Block
from hvd.core.locks import take_claim
from hvd.errors import BlockInUse
from tests.unit.core.support import ended, fork, keeping_locked, standing


def test_who_keeps_the_lock_is_told(block: Block) -> None:
    """By pid, in the words of what to do about it; nobody, once it is free."""
    assert locks.holder(block.fd) == 0
    with keeping_locked(block) as pid:
        assert locks.holder(block.fd) == pid
        assert locks.complaint(block.fd, "hvd-x").startswith(
            f"process {pid} keeps block hvd-x locked; if it is stopped"
        )
    assert locks.holder(block.fd) == 0
    assert locks.complaint(block.fd, "hvd-x").startswith("another process keeps")


def test_the_lock_is_waited_for_as_long_as_is_said(block: Block) -> None:
    """And had as soon as it is free, by one process at a time."""
    with keeping_locked(block):
        start = time.monotonic()
        assert not locks.take(block.fd, 0.1)
        assert time.monotonic() - start >= 0.1
    assert locks.take(block.fd, 0)
    assert ended(fork(lambda: os._exit(locks.take(block.fd, 0)))) == 0
    locks.drop(block.fd)
    assert ended(fork(lambda: os._exit(locks.take(block.fd, 0)))) == 1


def test_the_wait_gives_way_to_no_greenlet(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """gevent's time.sleep would, and another greenlet would find this process in the midst of something."""
    monkeypatch.setattr("time.sleep", gevent.sleep)
    others: list[int] = []
    greenlet = gevent.spawn(others.append, 1)
    with keeping_locked(block):
        assert not locks.take(block.fd, 0.05)
        assert others == []
    greenlet.join()
    assert others == [1]


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
    with standing(lambda: take_claim(tmp_path, name, 0)) as pid:
        timer = threading.Timer(0.1, os.kill, (pid, signal.SIGKILL))
        timer.start()
        os.close(take_claim(tmp_path, name, 20))
        timer.join()


def test_no_program_inherits_the_claim(tmp_path: Path, name: str) -> None:
    """A companion would keep it beyond the master."""
    claim = take_claim(tmp_path, name, 0)
    assert not os.get_inheritable(claim)
    os.close(claim)
