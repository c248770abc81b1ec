"""One attempt: a real process group, from its start to the end of all of it."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hvd.core.proc import is_alive
from hvd.jobs.attempt import Attempt
from hvd.jobs.kinds import Kind, read_kinds
from hvd.jobs.queue import End
from hvd.jobs.store import Job, NewJob, _submitted
from tests.support.waiting import PATIENCE, until

PATH = {"PATH": os.environ["PATH"]}


def kind_of(*command: str, **more: Any) -> Kind:
    kinds, faults = read_kinds({"k": {"command": list(command), **more}})
    assert not faults, faults
    return kinds["k"]


def job() -> Job:
    row = {"id": "j", "kind": "k", "name": "n", "status": "running", "retries": 0, "backoff": 1.0, "created": 0}
    return _submitted(row, NewJob("k", {}, "n"))


def run(
    kind: Kind,
    then: Callable[[Attempt], None] = lambda attempt: None,
    *,
    when: Callable[[Attempt], bool] = lambda attempt: True,
    grace: float = 30.0,
) -> tuple[End, list[float]]:
    """How an attempt of that kind ends, and the progress that it told; `then` is called `when` that is true."""
    told: list[float] = []

    async def go() -> End:
        ended = asyncio.Event()
        attempt = Attempt(
            job(), kind, grace=grace, changed=lambda each: told.append(each.percent), ended=lambda _: ended.set()
        )
        attempt.start(PATH)
        deadline = time.monotonic() + 20 * PATIENCE
        while not when(attempt) and not ended.is_set():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)
        then(attempt)
        await asyncio.wait_for(ended.wait(), 20 * PATIENCE)
        return attempt.as_end()

    return asyncio.run(go()), told


def printed(text: str) -> Callable[[Attempt], bool]:
    return lambda attempt: text in attempt._output.tail()


def test_a_job_that_ends_well_is_completed() -> None:
    """With its last lines, of both outputs, and all of the way done."""
    end, _ = run(kind_of("sh", "-c", "echo out; echo err >&2"))
    assert (end.status, end.exit_code, end.error, end.progress) == ("completed", 0, "", 100.0)
    assert sorted(end.output.split()) == ["err", "out"]
    assert not end.may_retry


@pytest.mark.parametrize(
    ("script", "code", "error"),
    [("exit 3", 3, "exit status 3"), ("kill -SEGV $$", -11, "killed by SIGSEGV"), ("kill -40 $$", -40, "signal 40")],
)
def test_a_job_that_fails_says_how(script: str, code: int, error: str) -> None:
    """By exit status or by signal."""
    end, _ = run(kind_of("sh", "-c", f"echo last words; {script}"))
    assert (end.status, end.exit_code, end.output, end.may_retry) == ("failed", code, "last words", True)
    assert error in end.error


def test_what_cannot_be_started_raises() -> None:
    """The runner notes why."""
    for kind in (kind_of("/no/such/program"), kind_of("true", cwd="/no/such/folder")):
        with pytest.raises(FileNotFoundError):
            run(kind)


def test_progress_is_told_as_it_comes() -> None:
    """And kept where the job fails."""
    end, told = run(
        kind_of(
            "sh", "-c", "printf '(10/100%%)\\r'; sleep 0.05; printf '(60.5/100%%)\\r'; exit 1", progress=r"([0-9.]+)/"
        )
    )
    assert told[-1] == end.progress == 60.5
    assert told == sorted(told)


def test_a_cancelled_job_gets_sigterm_and_its_time() -> None:
    """It may clean up; what it makes of its exit status doesn't matter."""
    script = "trap 'echo cleaned; exit 0' TERM; echo ready; while :; do sleep 0.01; done"
    end, _ = run(kind_of("sh", "-c", script), Attempt.cancel, when=printed("ready"))
    assert (end.status, end.error, end.exit_code, end.may_retry) == ("cancelled", "cancelled", 0, False)
    assert "cleaned" in end.output


def test_a_job_that_will_not_end_is_killed() -> None:
    """After its grace time."""
    script = "trap '' TERM; echo ready; while :; do sleep 0.01; done"
    end, _ = run(kind_of("sh", "-c", script), Attempt.cancel, when=printed("ready"), grace=0.1)
    assert (end.status, end.exit_code) == ("cancelled", -9)


def test_a_stopped_job_can_be_cancelled() -> None:
    """SIGTERM alone would wait for a SIGCONT."""

    def stop_and_cancel(attempt: Attempt) -> None:
        os.killpg(attempt.pid, signal.SIGSTOP)
        attempt.cancel()

    end, _ = run(kind_of("sh", "-c", "echo ready; exec sleep 1000"), stop_and_cancel, when=printed("ready"))
    assert (end.status, end.exit_code) == ("cancelled", -15)


def test_a_job_that_takes_too_long_fails() -> None:
    """And may be tried again."""
    end, _ = run(kind_of("sleep", "1000", timeout=0.1))
    assert (end.status, end.error, end.may_retry) == ("failed", "timed out after 0.1 s", True)


def test_the_first_reason_counts() -> None:
    """Cancelled while it is being ended for another reason: one end."""

    def twice(attempt: Attempt) -> None:
        attempt.end("interrupted")
        attempt.cancel()

    end, _ = run(kind_of("sleep", "1000"), twice)
    assert (end.status, end.error) == ("failed", "interrupted")


def test_nothing_of_the_group_outlives_the_job(tmp_path: Path) -> None:
    """Children that go on, and hold the output open, end with the first process."""
    pidfile = tmp_path / "pid"
    end, _ = run(kind_of("sh", "-c", f"sleep 1000 & echo $! > {pidfile}; echo done"))
    assert (end.status, end.output) == ("completed", "done")
    until(lambda: not is_alive(int(pidfile.read_text())), "the kernel has ended it")


def test_children_have_the_grace_time_too(tmp_path: Path) -> None:
    """The first process obeys SIGTERM at once; the one that does the work is still cleaning up."""
    worker = f"trap 'sleep 0.1; echo cleaned > {tmp_path}/mark; exit' TERM; echo ready; while :; do sleep 0.01; done"
    (tmp_path / "worker.sh").write_text(worker)
    end, _ = run(kind_of("sh", "-c", f"sh {tmp_path}/worker.sh & wait"), Attempt.cancel, when=printed("ready"))
    assert end.status == "cancelled"
    assert (tmp_path / "mark").read_text() == "cleaned\n"


def test_a_job_inherits_what_it_is_given_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind's environment and its mark; no secret, no descriptor, nothing to read from."""
    monkeypatch.setenv("HVD_TOKEN", "secret")
    readable, writable = os.pipe()
    os.set_inheritable(writable, True)
    try:
        end, _ = run(kind_of("sh", "-c", "env; ls /proc/self/fd; cat; pwd", env={"COLOUR": "blue"}, cwd="/"))
    finally:
        os.close(readable)
        os.close(writable)
    lines = end.output.splitlines()
    assert {"COLOUR=blue", "HVD_JOB=j"} <= set(lines)
    assert "secret" not in end.output
    assert lines[-1] == "/"
    assert [line for line in lines if line.isdigit()] == ["0", "1", "2", "3"], "the fourth is ls's own"


def test_attempts_leave_no_descriptor() -> None:
    """However they end."""
    run(kind_of("true"))
    before = len(os.listdir("/proc/self/fd"))
    for kind in (kind_of("true"), kind_of("sleep", "1000", timeout=0.1), kind_of("/no/such/program")):
        try:
            run(kind)
        except FileNotFoundError:
            continue
    assert len(os.listdir("/proc/self/fd")) == before
