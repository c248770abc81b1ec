"""What jobs print: kept while they run, read in parts and as it comes; and a flood delays nobody."""

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from hvd.jobs.states import COMPLETED, FAILED, PENDING
from tests.support.jobs import JobsDaemon, shell
from tests.support.waiting import PATIENCE, until

MB = 2**20
WAIT = 'until [ -e "$0/gate" ]; do sleep 0.02; done'
ODD = rb'printf "\\033[2J\\342\\200\\256ab\\377\\n"'.decode()


def hvd(server: JobsDaemon, *args: str, **parts: Any) -> "subprocess.Popen[bytes]":
    """`hvd jobs output` of that daemon."""
    host, port = server.address
    command = [sys.executable, "-m", "hvd", "jobs", "output", *args, "--url", f"http://{host}:{port}"]
    return subprocess.Popen(command, stdout=parts.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE, **parts)


def on_a_terminal(server: JobsDaemon, job_id: str) -> bytes:
    """What a terminal gets of it."""
    terminal, end = pty.openpty()
    with hvd(server, job_id, stdout=end) as process:
        os.close(end)
        seen = b""
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while select.select([terminal], [], [], 60)[0] and (data := os.read(terminal, 65536)):
                seen += data
        assert process.wait() == 0
    os.close(terminal)
    return seen


def test_what_a_job_prints_can_be_read_while_it_runs(tmp_path: Path) -> None:
    """Over HTTP and by the command, whole and in parts; it outlives the runner."""
    kinds = {
        "talk": {"command": shell(f"echo one; {ODD}; {WAIT}; echo end", tmp_path)},
        "again": {"command": shell(f"echo from $HVD_ATTEMPT; {WAIT}", tmp_path), "retries": 1, "backoff": 0.5},
    }
    with JobsDaemon(tmp_path, kinds) as server:
        (talk,), (again,) = server.submit("talk"), server.submit("again")
        printed = b"one\n\x1b[2J\xe2\x80\xaeab\xff\n"
        until(lambda: server.get(f"/jobs/{talk}/output").body == printed, "what it prints can be read")
        assert server.job(talk)["output"] == ["one", "\ufffd[2J\ufffdab\ufffd"]
        part = server.get(f"/jobs/{talk}/output", Range="bytes=4-6")
        assert (part.status, part.body, part.headers["content-range"]) == (
            206,
            printed[4:7],
            f"bytes 4-6/{len(printed)}",
        )
        shown = on_a_terminal(server, talk)
        assert shown == b"one\r\n\\x1b[2J\\u202eab\\xff\r\n"
        with hvd(server, talk) as process:
            assert process.communicate(timeout=60 * PATIENCE) == (printed, b""), "byte for byte where it is no terminal"

        with hvd(server, "-f", talk) as following:
            assert following.stdout
            assert following.stdout.read(len(printed)) == printed
            until(lambda: server.job(again)["output"] == ["from 1"], "the other has printed, too")
            os.kill(server.runner_pid, signal.SIGKILL)
            rest, said = following.communicate(timeout=60 * PATIENCE)
            assert (rest, said, following.returncode) == (b"", b"", 0)
        server.wait_status(talk, FAILED)
        assert server.job(talk)["output"] == ["one", "\ufffd[2J\ufffdab\ufffd"], "its runner did not live to note it"
        until(lambda: server.job(again)["status"] != PENDING, "another attempt")
        (tmp_path / "gate").touch()
        assert server.wait_status(again, COMPLETED)["output"] == ["from 2"]
        assert server.get(f"/jobs/{again}/output").body == b"from 1\n\n[hvd: attempt 2]\nfrom 2\n"

        assert sorted(path.name for path in (server.state / "output").iterdir()) == sorted([talk, again])
        assert server.get(f"/jobs/{talk}/output").body == printed
        with hvd(server, "-f", again) as process:
            assert process.communicate(timeout=60 * PATIENCE)[0].endswith(b"from 2\n"), (
                "one that has ended is not waited for"
            )


def test_a_flood_is_taken_at_once_and_delays_nobody(tmp_path: Path) -> None:
    """Eight jobs that print 32 MiB each: bounded files with their beginnings and ends, and a daemon that is well."""
    lines = b"".join(b"%07d\n" % number for number in range(4 * MB))
    (tmp_path / "large").write_bytes(lines)
    limit = 2 * MB
    kinds = {"flood": {"command": ["cat", str(tmp_path / "large")]}}
    with JobsDaemon(tmp_path, kinds, jobs_output_limit=limit) as server:
        started = time.monotonic()
        ids = server.submit("flood", 8)
        while server.open_jobs():
            until(server.is_healthy, "it is well; on a busy machine a heartbeat may be late", 1)
            time.sleep(0.05)
        assert time.monotonic() - started < 30 * PATIENCE
        for job_id in ids:
            job = server.job(job_id)
            assert (job["status"], job["output"][-1]) == (COMPLETED, f"{4 * MB - 1:07d}")
            assert (server.state / "output" / job_id).stat().st_size <= limit + 200
        body = server.get(f"/jobs/{ids[0]}/output").body
        begin, _, end = body.partition(b"\n[hvd: ")
        told, _, end = end.partition(b" bytes are left out here]\n")
        assert (lines.startswith(begin), lines.endswith(end)) == (True, True)
        assert len(begin) + int(told) + len(end) == len(lines)
        with hvd(server, "-f", ids[1]) as process:
            out, said = process.communicate(timeout=60 * PATIENCE)
        assert out == begin + end
        assert said == b"hvd: %s bytes are left out here\n" % told
        assert not server.alarms


def test_followers_leave_threads_to_others(tmp_path: Path) -> None:
    """However many there are: /health is answered at once."""
    kinds = {"silent": {"command": shell(WAIT, tmp_path)}}
    with JobsDaemon(tmp_path, kinds, workers=1, threads=2) as server:
        (job_id,) = server.submit("silent")
        following = [hvd(server, "-f", job_id) for _ in range(6)]
        try:
            until(
                lambda: server.metrics() and server.counted().get(("/jobs/{job_id}/output", 204), 0) >= 6, "they wait"
            )
            for _ in range(20):
                asked = time.monotonic()
                assert server.get("/health").status == 200
                assert time.monotonic() - asked < PATIENCE
            (tmp_path / "gate").touch()
            for process in following:
                assert process.communicate(timeout=60 * PATIENCE) == (b"", b"")
        finally:
            for process in following:
                process.kill()
                process.wait()
