"""Attempts of jobs on real processes: how they end, and what they print."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from hvd.core.proc import is_alive, is_stopped
from hvd.jobs.database.ends import End
from tests.support.loop import eventually, in_loop
from tests.support.waiting import until
from tests.unit.jobs.run.attempts import FOLDERS, ID, PATIENT, Stage, on, output, run

__all__ = ["output"]


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
    for percent, percents in (("0.00", []), ("1.00", [1.0]), ("12.34", [1.0, 12.34]), ("50.00", [1.0, 12.34, 50.0])):
        await eventually(lambda percent=percent: (tmp_path / percent).exists())
        await eventually(lambda percents=percents: stage.percents == percents)
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
