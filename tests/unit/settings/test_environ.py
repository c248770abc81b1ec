"""The environment of this process."""

import os
import subprocess
import sys

import pytest

from hvd.settings.environ import environment, take_out, tell_children


def test_what_is_taken_out_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it said; what is not set is passed over."""
    monkeypatch.setenv("A_VARIABLE", "text")
    assert take_out(["A_VARIABLE", "NO_VARIABLE"]) == {"A_VARIABLE": "text"}
    assert "A_VARIABLE" not in environment()


def test_children_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that are executed get it."""
    monkeypatch.setenv("A_VARIABLE", "before")
    tell_children("A_VARIABLE", "now")
    shown = subprocess.run([sys.executable, "-c", "import os; print(os.environ['A_VARIABLE'])"], capture_output=True)
    assert (shown.stdout.strip(), os.environ["A_VARIABLE"]) == (b"now", "now")
