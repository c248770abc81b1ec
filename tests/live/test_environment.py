"""What surrounds the daemon and isn't its own: a /proc that hides things, variables of other makers."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.jobs import JobsDaemon
from tests.support.server import ROOT
from tests.support.waiting import PATIENCE, until

NAMESPACE = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "-mpf", "--mount-proc"]


def with_proc(options: str) -> list[str]:
    """The beginning of a command that runs the rest as pid 1 of a namespace whose /proc is mounted so."""
    return [*NAMESPACE, "sh", "-c", f'mount -t proc -o {options} proc /proc && exec "$@"', "sh"]


class Contained(JobsDaemon):
    """A daemon in a namespace, whose pids say nothing here."""

    @property
    def runner_pid(self) -> int:
        return next(iter(self.pids("job_runner")), 0)


def test_a_daemon_lives_where_proc_shows_processes_only(tmp_path: Path) -> None:
    """systemd's ProcSubset=pid: without /proc/stat, /proc/meminfo, /proc/sys. Beside it a service named hvd."""
    environ = {"HVD_PORT": "tcp://10.96.0.10:8080", "HVD_SERVICE_HOST": "10.96.0.10", "HVD_SERVICE_PORT": "8080"}
    daemon = Contained(
        tmp_path, {"t": {"command": ["true"]}}, environ={"HVD_CONFIG": f"{tmp_path}/hvd.toml", **environ}
    )
    daemon.command = [*with_proc("subset=pid"), *daemon.command]
    with daemon:
        daemon.wait_status(daemon.submit("t")[0], "completed")
        snapshot = daemon.snapshot()
        assert {process["kind"] for process in snapshot["processes"]} >= {
            "master",
            "worker",
            "aggregator",
            "job_runner",
        }
        assert snapshot["memory_usage"] > 2**20
        assert daemon.alarms == []
        assert daemon.process
        (master,) = psutil.Process(daemon.process.pid).children()
        master.send_signal(signal.SIGTERM)  # unshare(1) passes none on
        assert daemon.wait() == 0
        until(lambda: not daemon.block.exists(), "the block is gone")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user, whose processes are hidden")
@pytest.mark.parametrize("hidepid", [1, 2])
def test_a_hidden_process_is_alive_until_it_ends(hidepid: int) -> None:
    """/proc tells nothing of it, the kernel does: nobody may take its slot for free."""
    script = (
        "import os, subprocess\n"
        "from hvd.core.proc import is_alive, start_ticks\n"
        "other = subprocess.Popen(['sleep', '60'])\n"
        "is_alive(os.getpid())\n"  # loads what the other user may not be able to read
        "while not (pid := os.fork()):\n"
        "    os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)\n"
        "    assert start_ticks(other.pid) == 0 and is_alive(other.pid, 5)\n"
        "    assert is_alive(os.getpid()) and not is_alive(2**22 - 2)\n"
        "    os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
        "other.kill()\n"
    )
    command = [*with_proc(f"hidepid={hidepid}"), sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60 * PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
