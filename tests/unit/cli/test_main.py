"""The command: its exit codes, and that nothing ends in a traceback."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hvd import __version__
from hvd.cli.main import main
from tests.unit.cli.daemon import run


@pytest.mark.parametrize("command", ["check", "status", "snapshot"])
def test_wrong_settings_end_with_2_and_all_problems_on_stderr(command: str) -> None:
    """No traceback, nothing on stdout."""
    done = run(command, HVD_WORKERS="none", HVD_THREADS="0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "hvd: 2 problems in the settings:",
        '  threads (HVD_THREADS) is "0": it must be a whole number from 1 to 256',
        '  workers (HVD_WORKERS) is "none": it must be a whole number from 1 to 1024, in plain digits',
    ]


@pytest.mark.parametrize("command", ["status", "snapshot", "watch", "top --once"])
def test_no_daemon_is_one_line_and_1(command: str, tmp_path: Path) -> None:
    """With the address and what to do."""
    done = run(*command.split(), "--url", f"unix:{tmp_path}/none")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"hvd: no daemon answers at unix:{tmp_path}/none (no such file or directory): "
        "start the daemon, or name its address with --url; hvd list shows those that run here\n"
    )


@pytest.mark.parametrize(
    "args",
    [
        ["status", "--url", "ftp://x"],
        ["status", "--url", "unix:/x", "--instance", "a"],
        ["status", "--instance", ""],
        ["top", "--instance", "a/b"],
        ["status", "--timeout", "0"],
        ["status", "--timeout", "nan"],
        [],
        ["x"],
    ],
)
def test_wrong_arguments_end_with_2(args: list[str]) -> None:
    """As argparse does, without a traceback."""
    done = run(*args)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: hvd")


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """The help has examples and the exit codes."""
    for option, words in (("--version", [f"hvd {__version__}\n"]), ("--help", ["examples:", "exit codes:", "--url"])):
        with pytest.raises(SystemExit) as ended:
            main([option])
        assert ended.value.code == 0
        text = capsys.readouterr().out
        assert all(word in text for word in words)


@pytest.mark.parametrize(("target", "code"), [("| true", 141), ("> /dev/full", 1), (">&-", 0)])
def test_output_that_nobody_takes_is_no_traceback(target: str, code: int) -> None:
    """A pipe that closes early, a full disk, no stdout at all."""
    # The sleep lets `true` end first: a pipe takes 64 KB without a reader noticing.
    script = f"(sleep 0.3; {sys.executable} -m hvd check; echo $? >&2) {target}"
    if target != "| true":
        script = f"{sys.executable} -m hvd check {target}; echo $? >&2"
    done = subprocess.run(["sh", "-c", script], env={}, capture_output=True, text=True, timeout=60, check=False)
    *said, ended = done.stderr.splitlines()
    assert int(ended) == code
    assert said == (["hvd: the output can't be written (No space left on device)"] if code == 1 else [])


INTERRUPTED = """
import runpy, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "hvd.cli.arguments":
            signal.raise_signal(signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupting())
runpy.run_module("hvd", run_name="__main__")
"""


def test_ctrl_c_at_the_very_start_is_no_traceback() -> None:
    """Most of what a short command takes is the import of its modules."""
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
