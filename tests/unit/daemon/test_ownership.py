"""How a master comes by its block, and leaves it."""

import logging
import os
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from hvd.core import layout
from hvd.core.acquire import acquire
from hvd.core.slots import Slots
from hvd.daemon.deaths import Settler
from hvd.daemon.ownership import Ownership
from hvd.settings.loader import load
from tests.unit.core.support import SMALL, dead_pid, ended, fork

LOG = logging.getLogger("test")


def owned(name: str, **changes: Any) -> Ownership:
    server = SimpleNamespace(log=LOG, master_pid=0, cfg=SimpleNamespace(env_orig={}))
    settings = load({"HVD_INSTANCE": name.removeprefix("hvd-")}).settings
    ownership = Ownership(server, replace(settings, **changes))
    block = ownership.block
    ownership.begin(Settler(block, LOG), Slots(block), 1)
    return ownership


def close(ownership: Ownership) -> None:
    ownership.block.release_claim()
    os.close(ownership.block.fd)


def test_a_block_is_made_as_the_settings_say(name: str) -> None:
    """It is this daemon's, which removes it in the end."""
    ownership = owned(name, slots=7, threads=3)
    block = ownership.block
    assert ownership.was_made
    assert (block.layout.slots - layout.COMPANION_SLOTS, block.layout.rows) == (7, 3 + 4)
    assert block.masters() == [os.getpid()]
    ownership.write_missing(2)
    assert block.missing() == 2
    ownership.leave(has_served=False)
    assert not block.path.exists()
    close(ownership)


def test_a_block_is_taken_over(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """What its daemon had in progress is settled; it stays where this one has not served."""

    def live_and_die() -> None:
        block, _ = acquire(name, SMALL)
        Slots(block).claim(layout.KIND_WORKER, dead_pid(), dead_pid())

    assert ended(fork(live_and_die)) == 0
    ownership = owned(name)
    assert not ownership.was_made
    assert list(Slots(ownership.block).taken()) == []
    assert "Taking over" in caplog.text
    ownership.leave(has_served=False)
    assert ownership.block.masters() == []
    assert ownership.block.path.exists()
    close(ownership)


def test_a_name_that_was_removed_is_restored(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """From the block's second name; where that is gone too, it is said once."""
    ownership = owned(name)
    block = ownership.block
    block.path.unlink()
    ownership.keep_name()
    assert block.path.exists()
    block.path.unlink()
    block.file_name.spare.unlink()
    ownership.keep_name()
    ownership.keep_name()
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    close(ownership)
