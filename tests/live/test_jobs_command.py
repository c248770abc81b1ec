"""`hvd jobs` in a real terminal, on a real daemon: what is seen while a job runs, and what Ctrl-C does."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from tests.support.jobs import JobsDaemon, shell
from tests.support.pseudo import Pseudo

ENVIRON = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
INTERRUPTED = 130


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobsDaemon]:
    kinds = {
        "endless": {"command": ["sleep", "600"]},
        "broken": {"command": shell("exit 3")},
    }
    with JobsDaemon(tmp_path_factory.mktemp("daemon"), kinds, workers=1) as server:
        yield server


def terminal(daemon: JobsDaemon, *arguments: str, **environ: str) -> Pseudo:
    url = f"http://{daemon.address[0]}:{daemon.address[1]}"
    return Pseudo([sys.executable, "-m", "hvd", "jobs", *arguments, "--url", url], 130, 24, {**ENVIRON, **environ})


def test_ctrl_c_ends_the_waiting_and_not_the_job(daemon: JobsDaemon) -> None:
    """It says so, with the commands that look at it, wait again, and cancel it. Until then the bar pulses: no 0 %."""
    with terminal(daemon, "submit", "endless", "--wait") as screen:
        text = screen.shows("running", "━")
        job_id = text.split()[0]
        assert "0%" not in text
        before = screen.output
        screen.until(lambda _: len(screen.output) > len(before) + 2000, "it moves")
        screen.press("\x03")
        assert screen.wait() == INTERRUPTED
        text = screen.shows(f"the job {job_id} goes on", f"hvd jobs show {job_id} --url http", "wait again:", "cancel")
        assert "Traceback" not in text
        assert screen.output.rindex(b"\x1b[?25h") > screen.output.rindex(b"\x1b[?25l"), "the cursor is shown again"
    assert daemon.job(job_id)["status"] == "running"
    with terminal(daemon, "wait", job_id, NO_COLOR="1", LC_ALL="C") as screen:
        text = screen.shows(f"{job_id}  running  -  endless")
        screen.press("\x03")
        assert screen.wait() == INTERRUPTED
        screen.shows("goes on")
        assert b"\x1b" not in screen.output, "nothing moves"
    with terminal(daemon, "output", "-f", job_id) as screen:
        screen.until(lambda _: daemon.counted().get(("/jobs/{job_id}/output", 204), 0) > 0, "it is followed")
        screen.press("\x03")
        assert screen.wait() == INTERRUPTED
        screen.shows(f"hvd jobs output -f {job_id}")
    daemon.post("/jobs/cancel", {"ids": [job_id]})


def test_two_of_them_end_it_without_a_traceback(daemon: JobsDaemon) -> None:
    """Whoever presses it twice wants out."""
    (job_id,) = daemon.submit("endless")
    with terminal(daemon, "wait", job_id) as screen:
        screen.shows("running")
        screen.press("\x03\x03")
        assert screen.wait() in (INTERRUPTED, -signal.SIGINT)
        assert "Traceback" not in screen.text
    daemon.post("/jobs/cancel", {"ids": [job_id]})


def test_a_job_is_retried_from_the_terminal(daemon: JobsDaemon) -> None:
    """Its new id, and with --wait its end."""
    (job_id,) = daemon.submit("broken")
    daemon.wait_status(job_id, "failed")
    with terminal(daemon, "retry", job_id, "--wait") as screen:
        assert screen.wait() == 4
        new = screen.shows("not completed").split()[0]
    assert new != job_id
    assert daemon.job(new)["error"] == "exit status 3"
    with terminal(daemon, "list", "--search", new[-8:].upper()) as screen:
        assert screen.wait() == 0
        assert new in screen.text
        assert job_id not in screen.text
