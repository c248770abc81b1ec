"""A master's file of totals: written by a child, in bounded time, and never a reason not to start or to stop."""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hvd.core.block import Block
from hvd.core.layout import KIND_JOINED
from hvd.core.totals import Reader
from hvd.daemon.kept import keeper as module
from hvd.daemon.kept.file import read_own
from hvd.daemon.kept.form import decode
from hvd.daemon.kept.keeper import Keeper
from hvd.settings.loader import load
from tests.support.leftovers import children, no_child_left
from tests.support.waiting import until
from tests.unit.core.support import catalogue_of, own_rows, serve

LOG = logging.getLogger("test")


@pytest.fixture
def keeper(block: Block, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Keeper]:
    """Of a block with two requests, one of them in progress; it has a folder that isn't there yet. Its children are
    reaped, as gunicorn does it.
    """
    caplog.set_level(logging.INFO)
    catalogue_of(block).add_families()
    row = own_rows(block).mine()
    serve(row)
    row.begin("GET", "/open")
    settings = load({"STATE_DIRECTORY": str(tmp_path / "state")}).settings
    with no_child_left():
        yield Keeper(replace(settings, instance=block.name.removeprefix("hvd-")), LOG)


def test_what_is_kept_is_read_by_the_next_one(block: Block, keeper: Keeper, caplog: pytest.LogCaptureFixture) -> None:
    """At the stop; a file of another daemon, and one that is damaged, are set aside; one line says each."""
    fresh = Path(block.path.with_name(f"{block.name}.aside-1"))
    assert keeper.is_on
    keeper.fill(block)
    assert "begin with 0, and are kept in" in caplog.messages[-1]
    assert keeper.keep(block)
    assert caplog.messages[-1] == f"hvd: totals are kept in {keeper.path}"
    assert decode(read_own(keeper.path))["heads"] == [2, 1, 0, 0]
    keeper.path.write_bytes(keeper.path.read_bytes().replace(b'"instance":"', b'"instance":"\xff'))
    keeper.fill(block)
    assert "can't be used, it is damaged" in caplog.messages[-1]
    assert "is set aside as" in caplog.messages[-1]
    assert keeper.keep(block)
    other = Keeper(replace(load({}).settings, state_dir=keeper.path.parent, keep_totals=True, instance="y"), LOG)
    keeper.path.rename(other.path)
    other.fill(block)
    assert f"it is of the daemon '{block.name.removeprefix('hvd-')}'" in caplog.messages[-1]
    assert len(list(keeper.path.parent.glob("*.aside-*"))) == 2
    assert Reader(block).read().heads.started == 2
    assert not fresh.exists()


def test_where_it_is_off_nothing_is_read_or_written(block: Block, keeper: Keeper) -> None:
    """And nothing holds the block back."""
    keeper.is_on = False
    keeper.fill(block)
    assert keeper.keep(block)
    assert not keeper.path.parent.exists()


def test_it_is_written_again_and_again(
    block: Block, keeper: Keeper, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By children, while the master goes on; what is wrong is said once, and when it is over."""
    monkeypatch.setattr(module, "EVERY", 0.05)
    monkeypatch.setattr(module, "SHARE", 1)  # a child of a process as large as this one takes long to begin
    keeper._next = 0.0

    def turn_until(condition: Callable[[], object], what: str) -> None:
        until(lambda: keeper.turn(block) or condition(), what)  # type: ignore[func-returns-value]

    turn_until(keeper.path.exists, "it is written")
    keeper.path.unlink()
    keeper.path.mkdir()
    turn_until(lambda: "can't be written" in caplog.text, "it is said")
    for _ in range(3):
        keeper._next = 0.0
        turn_until(lambda: keeper._writing, "another try")
        turn_until(lambda: not keeper._writing, "and its end")
    keeper.path.rmdir()
    turn_until(lambda: caplog.messages[-1].endswith("again"), "it is written again")
    assert caplog.text.count("can't be written") == 1
    assert decode(read_own(keeper.path))["heads"] == [2, 1, 0, 0]


def test_a_disk_that_does_not_answer_holds_nobody_up(
    block: Block, keeper: Keeper, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child that waits for it is killed; at the stop the block stays instead."""

    def wait(*_: object) -> None:
        signal.pause()

    others = children()
    monkeypatch.setattr(module, "write_whole", wait)
    monkeypatch.setattr(module, "CHILD_WAIT", 0.1)
    monkeypatch.setattr(module, "END_WAIT", 0.1)
    keeper._next = 0.0
    until(lambda: keeper.turn(block) or "not within 0.1 s" in caplog.text, "it is given up")  # type: ignore[func-returns-value]
    keeper._next = 0.0
    keeper.turn(block)
    began = time.monotonic()
    assert not keeper.keep(block)
    assert time.monotonic() - began < 10
    assert "stays, and the next start goes on with it" in caplog.messages[-1]
    until(lambda: all(map(is_ended, children() - others)), "no child goes on")


def is_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def test_joined_processes_of_a_block_without_name_bring_their_counts_themselves(block: Block, keeper: Keeper) -> None:
    """So they aren't kept as well."""
    own = own_rows(block, KIND_JOINED)
    serve(own.mine())
    assert keeper.keep(block)
    assert decode(read_own(keeper.path))["heads"] == [3, 2, 0, 0]
    block.path.unlink()
    assert keeper.keep(block)
    assert decode(read_own(keeper.path))["heads"] == [2, 1, 0, 0]
