"""What is compiled, called with anything at all."""

import os
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.usefixtures("form"), pytest.mark.parametrize("form", ["compiled"], indirect=True)]


def fuzz(seed: int, what: str) -> tuple[int, str, str]:
    """What a process of its own does: exit status, output, errors."""
    command = [sys.executable, "-m", "tests.unit.instrument.fuzz", str(seed), what]
    environ = {"PYTHONMALLOC": "debug", **os.environ}
    run = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    return run.returncode, run.stdout, run.stderr[-3000:]


def test_no_argument_of_any_type_ends_the_process() -> None:
    """What is compiled checks a type before it looks inside: bytes as status were read as text once (SIGSEGV)."""
    seed = int.from_bytes(os.urandom(4), "big")
    assert fuzz(seed, "crash") == (0, "survived\n", ""), f"seed {seed}"


def test_no_reference_to_any_argument_is_kept() -> None:
    """After the same thousand rounds of calls, over and over, there is nothing more than before."""
    assert fuzz(1, "leaks") == (0, "[]\n", "")
