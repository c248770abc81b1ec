"""A process seen from outside, as the upgrade of a daemon has to know its master."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hvd.cli.master_process import PARENT, MasterProcess, executed_by
from tests.support.server import stopped
from tests.support.waiting import until


@contextmanager
def sleeper(log: Path, user: int | None = None, **environ: str) -> Iterator[MasterProcess]:
    """A child of this process with this environment, whose standard error is that file."""
    command = ("sleep", "60")
    with log.open("ab") as file, subprocess.Popen(command, env=environ, stderr=file, user=user) as process:
        try:
            yield MasterProcess.of(process.pid)
        finally:
            process.kill()


def test_it_is_known_by_its_start_its_user_and_its_environment(tmp_path: Path) -> None:
    """And nothing is sent to one that has its pid later."""
    log = tmp_path / "log"
    with sleeper(log, NAME="a value", EMPTY="") as process:
        until(lambda: executed_by(process.pid) == "sleep", "it is executed")
        assert process.environ() == {"NAME": "a value", "EMPTY": ""}
        assert process.is_alive
        assert process.user == os.geteuid()
        assert not process.is_first_of_container
        with stopped(process.pid):
            assert process.is_stopped
        MasterProcess(process.pid, process.started - 1).send(signal.SIGKILL)
        assert process.is_alive
        log.write_text("before\n")
        size = process.log_size()
        log.write_text("before\nafter \xff\n", encoding="latin-1")
        assert process.log_since(size) == ["after \ufffd"]
        process.send(signal.SIGKILL)
        until(lambda: not process.is_alive, "it is gone")
    assert process.environ() == {}
    assert (process.user, process.log_size(), process.log_since(0), executed_by(process.pid)) == (-1, 0, [], "")
    process.send(signal.SIGKILL)
    with pytest.raises((ProcessLookupError, FileNotFoundError)):
        process.run((sys.executable, "-c", ""), {}, 60)


def test_what_runs_as_its_user_has_no_terminal_of_root_s() -> None:
    """A session of its own has none; its environment is what it is told."""
    code = "import os; print(os.getsid(0) == os.getpid(), os.environ['NAME'])"
    status, output, complaints = MasterProcess.of(os.getpid()).run((sys.executable, "-c", code), {"NAME": "x"}, 60)
    assert (status, output, complaints) == (0, "True x\n", "")


def test_a_successor_names_the_master_that_has_executed_it(tmp_path: Path) -> None:
    """Another child doesn't: a worker has the environment with which its master was executed; nor another user's."""
    log = tmp_path / "log"
    own = MasterProcess.of(os.getpid())
    named = {PARENT: str(os.getpid())}
    with sleeper(log, **named) as new, sleeper(log, **{PARENT: "1"}), sleeper(log):
        until(lambda: [*own.successors()], "it is executed")
        assert [*own.successors()] == [new.pid]
        assert [*new.successors()] == []
    if os.geteuid() == 0:
        with sleeper(log, 65534, **named) as other:
            until(lambda: executed_by(other.pid) == "sleep", "it is executed")
            assert [*own.successors()] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can lend its rights")
def test_root_runs_a_program_of_the_daemon_as_the_daemon_s_user(tmp_path: Path) -> None:
    """With its groups, in its folder."""
    with sleeper(tmp_path / "log", 65534) as process:
        until(lambda: executed_by(process.pid) == "sleep", "it is executed")
        code = "import os; print(os.geteuid(), os.getegid(), os.getcwd(), os.environ['A'])"
        environ = {"A": "b", "PATH": os.environ["PATH"]}
        python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
        status, output, complaints = process.run((python, "-c", code), environ, 30)
    assert (status, output.split()) == (0, ["65534", str(os.getegid()), os.getcwd(), "b"]), complaints
