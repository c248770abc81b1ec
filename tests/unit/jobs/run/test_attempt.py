"""Attempts of jobs on real processes: how they end, what they print, and what they get to see."""

import asyncio
import ctypes
import os
import resource
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from hvd.companion.child import ignore_signals
from hvd.core import descriptors
from hvd.core.proc import PR_SET_CHILD_SUBREAPER, is_alive, is_stopped
from hvd.jobs.database.queue import End
from hvd.jobs.job import Job
from hvd.jobs.run.attempt import Attempt
from hvd.jobs.run.pump import Pump
from hvd.jobs.transcript import Recorder
from hvd.settings.job_declarations import read_kinds
from hvd.settings.job_kinds import Kind
from hvd.settings.variables import inherited
from tests.support.waiting import until
from tests.unit.agg import eventually, in_loop

ID = "019ab6b1-0000-7000-8000-000000000001"
PATIENT = 60.0  # s; an end that comes only because time ran out is a failure
OTHERS = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


@pytest.fixture(autouse=True)
def _subreaper() -> Iterator[None]:
    """Orphans are left to this process, as to the runner."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def job(**params: Any) -> Job:
    """A job that was claimed for the third time."""
    return Job(
        *(ID, "work", "", params, "running", 0.0, 3, 2, 1.0, 1.0, 1.0, 1.0, None, None, "", [], "here", False, 5)
    )


PUMPS: list[Pump] = []
FOLDERS: list[Path] = []


@pytest.fixture(autouse=True)
def _output(tmp_path: Path) -> Iterator[None]:
    """Where what is printed is kept; nothing goes on after a test."""
    FOLDERS[:] = [tmp_path / "output"]
    yield
    while PUMPS:
        PUMPS.pop().close()


def parts() -> dict[str, Any]:
    """What reads an attempt's output, in the test's loop, and what keeps it."""
    if not PUMPS:
        PUMPS.append(Pump(asyncio.get_running_loop()))
    return {"pump": PUMPS[0], "recorder": Recorder(FOLDERS[0], ID, 3, 2**20)}


class Stage:
    """An attempt of a command, or of a shell's script, with all that it told."""

    def __init__(self, script: str | tuple[str, ...], *args: str | Path, grace: float = PATIENT, **kind: Any) -> None:
        self.percents: list[float] = []
        self.ends: list[Attempt] = []
        command = ("sh", "-c", script, *map(str, args)) if isinstance(script, str) else script
        self.attempt = Attempt(
            job(),
            Kind("work", command, **kind),
            **parts(),
            grace=grace,
            changed=lambda attempt: self.percents.append(attempt.percent),
            ended=self.ends.append,
        )

    def start(self, environ: Mapping[str, str] | None = None) -> "Stage":
        self.attempt.start({"PATH": os.environ["PATH"]} if environ is None else environ)
        return self

    async def printed(self, text: str) -> list[str]:
        """What it has printed, once that has this line."""
        await eventually(lambda: text in self.attempt.as_end().output.split("\n"))
        return self.attempt.as_end().output.split("\n")

    async def end(self) -> End:
        """How it ended; it ends once."""
        await eventually(lambda: self.ends)
        await asyncio.sleep(0.05)
        assert self.ends == [self.attempt]
        return self.attempt.as_end()


async def on(script: str, *args: str | Path, **kind: Any) -> Stage:
    """An attempt that has said that it is on."""
    stage = Stage(script, *args, **kind).start()
    await stage.printed("on")
    return stage


async def run(script: str | tuple[str, ...], *args: str | Path, **kind: Any) -> End:
    return await Stage(script, *args, **kind).start().end()


@in_loop
async def test_a_command_that_ends_with_0_is_completed() -> None:
    """With all its percents, whatever it told of them, and how long it took."""
    end = await run("echo 12%; sleep .05; echo done", progress=r"(\d+)%")
    assert end._replace(seconds=None) == End(ID, 3, "completed", 0, "", "12%\ndone", 100.0, may_retry=False)
    assert end.seconds is not None
    assert 0.05 <= end.seconds < PATIENT


@in_loop
async def test_any_other_exit_status_is_a_failure() -> None:
    """Named, with the progress of then, and it may be tried again."""
    end = await run("echo 12%; exit 77", progress=r"(\d+)%")
    assert end._replace(seconds=None) == End(ID, 3, "failed", 77, "exit status 77", "12%", 12.0, may_retry=True)


@pytest.mark.parametrize(("signum", "error"), [("9", "killed by SIGKILL"), ("40", "killed by signal 40")])
@in_loop
async def test_a_signal_is_a_failure(signum: str, error: str) -> None:
    """Named, where it has a name."""
    end = await run(f"kill -{signum} $$")
    assert (end.status, end.exit_code, end.error, end.may_retry) == ("failed", -int(signum), error, True)


@in_loop
async def test_what_it_prints_is_kept_in_order() -> None:
    """From both its outputs; its last line, however much it is."""
    assert (await run("echo 1; echo 2 >&2; echo 3")).output == "1\n2\n3"
    assert (await run(("seq", "1", "200000"))).output.split("\n") == [str(n) for n in range(199_981, 200_001)]


@in_loop
async def test_what_it_printed_last_is_read_when_it_is_over(tmp_path: Path) -> None:
    """Whatever the pipe holds then: the loop hears of the end before the rest is read."""
    stage = Stage('until [ -e "$0/go" ]; do sleep .01; done; exec seq 1 100000', tmp_path)
    take, stage.attempt._take = stage.attempt._take, lambda data: (time.sleep(0.02), take(data))  # type: ignore[method-assign, assignment, func-returns-value]
    stage.start()
    (tmp_path / "go").touch()
    until(lambda: not is_alive(stage.attempt.pid), "it is over, before the loop has read anything")
    assert (await stage.end()).output.split("\n")[-1] == "100000"
    printed = "".join(f"{number}\n" for number in range(1, 100_001)).encode()
    assert (FOLDERS[0] / ID).read_bytes().endswith(printed)


@in_loop
async def test_a_full_disk_ends_no_job(caplog: pytest.LogCaptureFixture) -> None:
    """Its last lines are told all the same; the log says once what isn't kept."""
    FOLDERS[0].mkdir()
    (FOLDERS[0] / ID).symlink_to("/dev/full")
    end = await run("echo 1; sleep .05; echo 2")
    assert (end.status, end.output) == ("completed", "1\n2")
    assert caplog.text.count("is not kept any further: No space left on device") == 1


@in_loop
async def test_progress_is_told_as_it_is_printed(tmp_path: Path) -> None:
    """By carriage returns, as qemu-img does, and at once; no progress is no news."""
    script = """
        for percent in 0.00 1.00 12.34 12.34 50.00; do
            printf '    (%s/100%%)\\r' $percent; touch "$0/$percent"; until [ -e "$0/go$percent" ]; do sleep .01; done
        done
    """
    stage = Stage(script, tmp_path, progress=r"\((?P<percent>[0-9.]+)/100%\)").start()
    for percent, told in (("0.00", []), ("1.00", [1.0]), ("12.34", [1.0, 12.34]), ("50.00", [1.0, 12.34, 50.0])):
        await eventually(lambda percent=percent: (tmp_path / percent).exists())
        await eventually(lambda told=told: stage.percents == told)
        (tmp_path / f"go{percent}").touch()
    assert (await stage.end()).progress == 100.0


@in_loop
async def test_one_that_takes_too_long_is_ended() -> None:
    """After its timeout, which may be tried again."""
    started = time.monotonic()
    end = await run(("sleep", "300"), timeout=0.2)
    assert (end.status, end.exit_code, end.error, end.may_retry) == ("failed", -15, "timed out after 0.2 s", True)
    assert time.monotonic() - started >= 0.2


@in_loop
async def test_a_cancellation_is_no_end_of_one_that_is_over() -> None:
    """A moment too late, it doesn't change what it came to."""
    stage = Stage("exit 3").start()
    await stage.end()
    stage.attempt.cancel()
    assert (await stage.end()).error == "exit status 3"


@in_loop
async def test_a_cancelled_one_may_tidy_up() -> None:
    """SIGTERM comes first; what it does then, its exit status too, makes it no success and no failure."""
    stage = await on("trap 'echo bye; exit 0' TERM; echo on; while :; do sleep .01; done")
    stage.attempt.cancel()
    end = await stage.end()
    assert end.output.endswith("\nbye")
    assert end._replace(output="", seconds=None) == End(ID, 3, "cancelled", 0, "cancelled", "", 0.0, may_retry=False)


@in_loop
async def test_one_that_was_told_to_end_has_failed() -> None:
    """Also where it says that all is well: it may be tried again."""
    stage = await on("trap 'exit 0' TERM; echo on; while :; do sleep .01; done")
    stage.attempt.end("stopped")
    end = await stage.end()
    assert (end.status, end.exit_code, end.error, end.may_retry) == ("failed", 0, "stopped", True)


@in_loop
async def test_one_that_ignores_sigterm_is_killed_after_its_grace() -> None:
    """And not before."""
    stage = await on("trap '' TERM; echo on; while :; do sleep .01; done", grace=0.3)
    cancelled = time.monotonic()
    stage.attempt.cancel()
    end = await stage.end()
    assert (end.status, end.exit_code) == ("cancelled", -9)
    assert time.monotonic() - cancelled >= 0.3


@in_loop
async def test_the_grace_of_this_end_goes_before_the_usual_one() -> None:
    """The runner has less time to stop than it gives."""
    stage = await on("trap '' TERM; echo on; while :; do sleep .01; done")
    stage.attempt.end("stopped", grace=0.0)
    end = await stage.end()
    assert (end.status, end.error, end.exit_code, end.may_retry) == ("failed", "stopped", -9, True)


@in_loop
async def test_the_first_reason_to_end_it_counts() -> None:
    """Neither its timeout nor whoever else wants it ended gives it another status, or more time."""
    stage = await on("trap '' TERM; echo on; while :; do sleep .01; done", grace=0.3, timeout=PATIENT)
    stage.attempt.cancel()
    stage.attempt._time_out()
    stage.attempt.end("something else", grace=PATIENT)
    end = await stage.end()
    assert (end.status, end.error, end.exit_code) == ("cancelled", "cancelled", -9)


@in_loop
async def test_a_stopped_one_is_continued_to_end() -> None:
    """It could not take SIGTERM else, and would wait for SIGKILL."""
    stage = Stage("trap 'echo bye; exit 1' TERM; kill -STOP $$; while :; do sleep .01; done").start()
    await eventually(lambda: is_stopped(stage.attempt.pid))
    stage.attempt.cancel()
    assert (await stage.end()).output == "bye"


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


@in_loop
async def test_a_process_that_keeps_the_output_open_does_not_keep_the_job() -> None:
    """One that has left the group: a sweep is for that."""
    stage = Stage("setsid sh -c 'echo $$; exec sleep 300' & sleep .01; until [ -s /proc/$!/comm ]; do :; done; wait")
    stage.start()
    await eventually(lambda: stage.attempt.as_end().output)
    daemon = int(stage.attempt.as_end().output)
    os.kill(stage.attempt.pid, 9)
    try:
        assert (await stage.end()).error == "killed by SIGKILL"
        assert is_alive(daemon)
    finally:
        os.kill(daemon, 9)


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
    found = dict(line.split("=", 1) for line in (await stage.end()).output.split("\n"))
    assert "secret" not in str(found)
    assert [name for name in found if name.startswith("HVD_")] == ["HVD_JOB", "HVD_ATTEMPT"]
    assert found["LC_ALL"] == "C.UTF-8"


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
    before = {signum: handler for signum in OTHERS if (handler := signal.getsignal(signum))}
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
async def test_an_end_leaves_no_descriptor_no_zombie_and_no_timer() -> None:
    """Nor does a start that fails."""
    loop: Any = asyncio.get_running_loop()
    await run("true")
    before = len(os.listdir("/proc/self/fd"))
    stages = [Stage(f"exit {number}", timeout=PATIENT).start() for number in range(20)]
    stages += [Stage("sleep 300; :", timeout=PATIENT).start() for _ in range(5)]
    for stage in stages[20:]:
        stage.attempt.cancel()
        with pytest.raises(FileNotFoundError):
            Stage(("/nonexistent/program",)).start()
    await asyncio.gather(*(stage.end() for stage in stages))
    assert len(os.listdir("/proc/self/fd")) <= before  # what an earlier test left may be collected meanwhile
    assert not {str(stage.attempt.pid) for stage in stages} & set(os.listdir("/proc"))
    assert not [timer for timer in loop._scheduled if not timer.cancelled() and "Attempt" in repr(timer)]


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
