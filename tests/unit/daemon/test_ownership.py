"""How a master comes by its block, passes it on, and leaves it."""

import logging
import os
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from hvd.core import layout
from hvd.core.acquire import acquire
from hvd.core.block import Block
from hvd.core.slots import Slots
from hvd.daemon.deaths import Settler
from hvd.daemon.ownership import VARIABLE, Ownership, pass_on, receive
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
    ownership.leave(has_served=False)
    assert not block.path.exists()
    close(ownership)


def test_a_block_is_taken_over(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """What its daemon had in progress is settled; it stays where this one has not served."""

    def live_and_die() -> None:
        block, _ = acquire(name, SMALL)
        block.add_master(os.getpid())
        Slots(block).claim(layout.KIND_WORKER, dead_pid(), dead_pid())

    assert ended(fork(live_and_die)) == 0
    ownership = owned(name)
    assert not ownership.was_made
    assert [slot.kind for slot in Slots(ownership.block).taken()] == [layout.KIND_MASTER]
    assert "Taking over" in caplog.text
    ownership.leave(has_served=False)
    assert ownership.block.masters() == []
    assert ownership.block.path.exists()
    close(ownership)


def test_processes_that_have_joined_keep_the_block_from_one_daemon_to_the_next(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Their slots stay theirs; those of others, which are dead, are settled. The last daemon removes it."""

    def live_and_end() -> None:
        ownership = owned(name, slots=20)
        Slots(ownership.block).claim(layout.KIND_JOINED, os.getppid(), os.getppid())
        Slots(ownership.block).claim(layout.KIND_JOINED, dead_pid(), dead_pid())
        assert ownership.leave(has_served=True)

    assert ended(fork(live_and_end)) == 0
    caplog.set_level(logging.INFO)
    ownership = owned(name)
    assert "Going on with block" in caplog.text
    assert not ownership.block.file_name.spare.exists() or ownership.block.file_name.holds()
    (slot,) = Slots(ownership.block).joined()
    assert slot.pid == os.getpid()
    Slots(ownership.block).free(slot.number)
    ownership.leave(has_served=True)
    assert not ownership.block.path.exists()
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


def test_descriptors_are_passed_to_the_process_that_is_executed(block: Block) -> None:
    """It has the pid of the one that passed them, and inherits them."""
    environ: dict[str, str] = {}
    pass_on(block, environ)
    assert not VARIABLE.startswith("HVD_"), "it would be a setting, and a wrong one"
    passed = receive(environ)
    assert passed is not None
    assert all(map(os.get_inheritable, passed))
    assert passed.claim == block.claim
    assert os.path.sameopenfile(passed.block, block.fd)
    assert environ == {}, "nobody else is to take them"
    os.close(passed.block)


def test_the_block_is_kept_for_a_master_that_does_not_run_yet(block: Block) -> None:
    """The old one may be told to stop right after it was told to start the new one; without that one, it goes."""
    environ: dict[str, str] = {}
    pass_on(block, environ)
    passed = receive(environ)
    assert passed is not None
    try:
        assert not block.remove_if_last()
        assert block.file_name.holds()
    finally:
        os.close(passed.block)
    assert block.remove_if_last()


@pytest.mark.parametrize("environ", [{}, {VARIABLE: "1:3:4"}])
def test_what_was_meant_for_another_process_is_not_taken(environ: dict[str, str]) -> None:
    """The environment goes on to children, the descriptors don't."""
    assert receive(environ) is None
