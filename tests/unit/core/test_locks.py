"""The record lock: had, refused, told of."""

import os
import time

from hvd.core import locks
from hvd.core.block import Block
from tests.unit.core.support import ended, fork, keeping_locked


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
