"""The processes of an attempt: what they get to see, and how all of them end."""

import asyncio
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from hvd.companion.child import ignore_signals
from hvd.core import descriptors
from hvd.core.proc import is_alive
from hvd.jobs.run.attempt import Attempt
from hvd.settings.job_declarations import read_kinds
from hvd.settings.variables import inherited
from tests.support.loop import eventually, in_loop
from tests.unit.jobs.run.attempts import ID, Stage, job, on, output, parts, run

__all__ = ["output"]

OTHERS = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


@pytest.mark.parametrize(
    ("command", "kind", "error"),
    [
        (("/nonexistent/program",), {}, "No such file or directory: '/nonexistent/program'"),
        (("no-such-program-anywhere",), {}, "No such file or directory: 'no-such-program-anywhere'"),
        (("/etc/passwd",), {}, "Permission denied: '/etc/passwd'"),
        (("/",), {}, "Permission denied: '/'"),
        (("true",), {"cwd": "/nonexistent"}, "No such file or directory: '/nonexistent'"),
    ],
)
@in_loop
async def test_what_can_not_be_executed_is_an_error_of_the_start(
    command: tuple[str, ...], kind: dict[str, Any], error: str
) -> None:
    """With the file that it is about; there is no end to wait for."""
    stage = Stage(command, **kind)
    with pytest.raises(OSError, match=error):
        stage.start()
    stage.attempt.cancel()
    await asyncio.sleep(0.02)
    assert stage.ends == []


@in_loop
async def test_parameters_that_have_become_wrong_are_never_executed(tmp_path: Path) -> None:
    """They are looked at once more at the start."""
    param = {"type": "path", "roots": [str(tmp_path)]}
    kinds, _ = read_kinds({"work": {"command": ["touch", "{file}"], "params": {"file": param}}})
    ended: list[Attempt] = []
    attempt = Attempt(job(file="/etc/x"), kinds["work"], **parts(), grace=1.0, changed=ended.append, ended=ended.append)
    with pytest.raises(ValueError, match="file"):
        attempt.start({})
    assert attempt.pid == 0
    assert ended == []


@in_loop
async def test_it_runs_in_its_folder_with_its_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind's go before the runner's, and its mark before both."""
    monkeypatch.setenv("HVD_TOKEN", "secret")
    command, kind = "pwd; env | grep -v '^PWD=\\|^_=\\|^SHLVL=' | sort", {"A": "kind", "HVD_JOB": "mine"}
    stage = Stage(command, cwd=str(tmp_path), env=kind).start({"PATH": "/usr/bin:/bin", "A": "runner", "B": "b"})
    lines = (await stage.end()).output.split("\n")
    assert lines == [str(tmp_path), "A=kind", "B=b", "HVD_ATTEMPT=3", f"HVD_JOB={ID}", "PATH=/usr/bin:/bin"]


@in_loop
async def test_nothing_secret_of_the_daemon_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What jobs inherit is named one by one, and none of it is hvd's."""
    monkeypatch.setenv("HVD_TOKEN", "secret")
    monkeypatch.setenv("HVD_DATABASE_URL", "postgresql://hvd:secret@db/hvd")
    monkeypatch.setenv("PGPASSWORD", "secret")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    stage = Stage("cat /proc/$$/environ | tr '\\0' '\\n'").start(inherited())
    variables = dict(line.split("=", 1) for line in (await stage.end()).output.split("\n"))
    assert "secret" not in str(variables)
    assert [name for name in variables if name.startswith("HVD_")] == ["HVD_JOB", "HVD_ATTEMPT"]
    assert variables["LC_ALL"] == "C.UTF-8"


@in_loop
async def test_it_has_no_descriptor_of_the_daemon() -> None:
    """Its input is empty, its outputs are one pipe; nothing else, inheritable or not."""
    leaking, other = os.pipe()
    os.set_inheritable(leaking, True)
    stdin = os.dup(0)
    os.dup2(leaking, 0)
    try:
        end = await run("readlink /proc/$$/fd/0; ls /proc/$$/fd; readlink /proc/$$/fd/1 /proc/$$/fd/2; read x || :")
    finally:
        os.dup2(stdin, 0)
        for fd in (stdin, leaking, other):
            os.close(fd)
    null, *fds, out, err = end.output.split("\n")
    assert (null, fds) == ("/dev/null", ["0", "1", "2"])
    assert out == err
    assert out.startswith("pipe:")


@in_loop
async def test_it_leads_a_session_of_its_own_and_finds_every_signal_as_usual() -> None:
    """The runner takes no notice of some signals; a job that ignored them could not be ended by them, nor trap them."""
    before = {signum: handler for signum in OTHERS if (handler := signal.getsignal(signum)) is not None}
    ignore_signals()
    try:
        for signum in (signal.SIGINT, signal.SIGUSR1):
            os.kill(os.getpid(), signum)
        end = await run(("grep", "-E", "NSpid|NSpgid|NSsid|SigBlk|SigIgn", "/proc/self/status"))
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    *ids, blocked, ignored = (line.split()[-1] for line in end.output.split("\n"))
    assert (len(ids), len(set(ids))) == (3, 1)
    others = sum(1 << signum - 1 for signum in OTHERS)  # what else is ignored, the tests were started with
    assert (int(blocked, 16) & others, int(ignored, 16) & others) == (0, 0)


@in_loop
async def test_a_job_has_the_limit_of_descriptors_that_hvd_was_started_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the runner has allowed itself: programs that use select(2) can't have more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(descriptors, "_AT_START", (soft, hard))
    stage = Stage("ulimit -Sn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
    try:
        stage.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (await stage.end()).output == str(soft)


@in_loop
async def test_what_its_group_still_does_when_it_ends_is_ended() -> None:
    """The job's own process is the job."""
    stage = Stage("sleep 300 & echo $!").start()
    assert (await stage.end()).status == "completed"
    child = int(stage.attempt.as_end().output)
    await eventually(lambda: not is_alive(child))


@in_loop
async def test_a_group_whose_leader_ends_first_has_its_grace(tmp_path: Path) -> None:
    """It is told to end as a whole, and may tidy up as a whole: the end is the last one's."""
    tidy = """trap 'sleep .2; touch "$0/tidy"; exit' TERM"""
    stage = await on(f"({tidy}; echo on; while :; do sleep .01; done) & exec sleep 300", tmp_path)
    stage.attempt.cancel()
    assert (await stage.end()).exit_code == -15
    assert (tmp_path / "tidy").exists()


@in_loop
async def test_what_is_dead_of_a_group_is_not_waited_for() -> None:
    """A zombie that was left to the runner is there until it reaps it, but has no more to do."""
    stage = await on("sleep 300 & echo on; exec sleep 300")
    stage.attempt.cancel()
    assert (await stage.end()).exit_code == -15


@in_loop
async def test_what_has_become_another_users_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group can hold what may not be signalled: sudo's, say. The end is told after the grace all the same."""
    stage = await on("echo on; exec sleep 300", grace=0.2)
    stage.attempt.cancel()
    monkeypatch.setattr(os, "killpg", Mock(side_effect=PermissionError))
    assert (await stage.end()).exit_code == -15


@in_loop
async def test_a_group_that_goes_on_without_its_leader_is_killed() -> None:
    """After the grace; and its end is told when nothing is left of it."""
    script = "(trap '' TERM; echo on; while :; do sleep .01; done) & echo $!; exec sleep 300"
    stage = Stage(script, grace=0.3).start()
    child = next(int(line) for line in await stage.printed("on") if line != "on")
    cancelled = time.monotonic()
    stage.attempt.cancel()
    await stage.end()
    assert time.monotonic() - cancelled >= 0.3
    await eventually(lambda: not is_alive(child))
