"""The block that a process's parent has named."""

import subprocess
import sys

import pytest
from gunicorn.arbiter import Arbiter

from hvd.daemon import hooks
from hvd.metrics import parent
from hvd.settings.environ import environment


def test_the_block_of_a_parent_is_not_that_of_a_daemon_started_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """gunicorn under hvd takes the variable out before it loads an app."""
    monkeypatch.setenv(parent.VARIABLE, "hvd-outer")
    monkeypatch.setattr(Arbiter, "setup", Arbiter.setup)
    hooks.take_hold()
    assert parent.VARIABLE not in environment()


def test_without_a_parent_that_counts_nothing_of_blocks_is_imported() -> None:
    """Instruments are imported in little time."""
    script = """import sys, hvd.metrics.parent as parent
assert not parent.join()
assert "hvd.metrics.children" not in sys.modules"""
    subprocess.run([sys.executable, "-c", script], check=True, env={**environment(), parent.VARIABLE: ""}, timeout=60)


def test_a_block_that_is_no_more_may_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its daemon may be about to start."""
    monkeypatch.setenv(parent.VARIABLE, "hvd-no-such")
    assert parent.join()
    monkeypatch.delenv(parent.VARIABLE)
    assert not parent.join()
