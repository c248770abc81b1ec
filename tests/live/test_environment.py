"""What surrounds the daemon and isn't its own: /proc, variables of other makers, a sandbox, users, its folder."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.support.jobs import JobsDaemon
from tests.support.python import python_for
from tests.support.server import ROOT, Server
from tests.support.waiting import PATIENCE, until
from tests.support.ws import RawWebSocket

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


LAUNCHER = """
import ctypes, os, struct, sys
number, argument, *command = sys.argv[1:]
rule = lambda *parts: struct.pack("HBBI", *parts)
program = b"".join([
    rule(0x20, 0, 0, 0),  # the call's number
    rule(0x15, 0, 3, int(number)),
    rule(0x20, 0, 0, 16),  # its first argument
    rule(0x15, 0, 1, int(argument)) if int(argument) >= 0 else rule(0x05, 0, 0, 0),
    rule(0x06, 0, 0, 0x00050000 | 1),  # EPERM
    rule(0x06, 0, 0, 0x7FFF0000),  # allowed
])
kept = ctypes.create_string_buffer(program)
filter = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(kept))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # no new privileges
assert libc.prctl(22, 2, ctypes.create_string_buffer(filter), 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execvp(command[0], command)
"""
"""Executes a command under a filter by which one system call of x86-64, with that first argument, is refused."""

REFUSED = {
    "pidfd_open(2) does not work here (": (434, -1),
    "pidfd_send_signal(2) does not work here (": (424, -1),
    "prctl(2) does not work here (": (157, 1),
    "no abstract unix socket can be bound (": (49, -1),
}
"""Numbers of calls of x86-64, with their first argument if it matters."""


@pytest.mark.parametrize("call", REFUSED)
def test_a_call_that_is_refused_is_named_at_the_start(tmp_path: Path, call: str) -> None:
    """Of prctl only the part that is needed: PR_SET_PDEATHSIG, the first."""
    server = Server(tmp_path, workers=1)
    server.command = [sys.executable, "-c", LAUNCHER, *map(str, REFUSED[call]), *server.command]
    line = server.refusal()
    assert line.startswith(f"hvd: {call}")
    assert "Operation not permitted): hvd needs " in line


NOBODY = pwd.getpwnam("nobody")
KINDS = {"who": {"command": ["sh", "-c", "id -un; echo $HOME $USER $LOGNAME ${{TMPDIR-none}}; mktemp -u"]}}


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that every user may enter, unlike pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="hvd-test-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may start workers of another user")
def test_nothing_but_the_master_is_root(folder: Path) -> None:
    """Companions have the workers' user; jobs have that user's surroundings, and none of root's."""
    python = python_for(NOBODY.pw_uid, folder)
    state, private = folder / "state", folder / "private"
    private.mkdir(mode=0o700)
    state.mkdir()
    os.chown(state, NOBODY.pw_uid, NOBODY.pw_gid)
    server = JobsDaemon(
        folder,
        KINDS,
        arguments=("--user", "nobody", "--group", str(NOBODY.pw_gid)),
        environ={**python.environ, "HOME": "/root", "USER": "root", "LOGNAME": "root", "TMPDIR": str(private)},
    )
    server.command[0] = python.program
    with server, RawWebSocket(server.address) as client:
        assert client.message()["type"] == "metrics"
        (job,) = server.submit("who")
        server.wait_ended()
        who, surroundings, temporary = server.job(job)["output"]
        assert who == "nobody"
        assert surroundings == f"{NOBODY.pw_dir} nobody nobody none"
        assert temporary.startswith("/tmp/")
        assert server.admin_get("/health").status == 200
        parts = "master, two workers, aggregator, admin server, job runner, guard"
        until(lambda: len(server.processes()) == 7, f"{parts} are left")
        users = {process.pid: process.uids() for process in server.processes()}
        roots = [pid for pid, uids in users.items() if 0 in uids]
        assert roots == [server.pid]
        assert {psutil.Process(pid).gids() for pid in users if pid != server.pid} == {(NOBODY.pw_gid,) * 3}


AS_STRANGER = """\
import os, sys
os.setgroups([]), os.setgid({user}), os.setuid({user})
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder in the place of another user's")
@pytest.mark.parametrize("is_taken", [False, True])
def test_a_folder_that_another_user_made_is_not_used(folder: Path, is_taken: bool) -> None:
    """As /tmp/hvd-UID: nothing is put there. Where the one in memory is taken, too, another has a name nobody could
    guess."""
    user = 64_321 + is_taken  # whom nobody else is, so nobody else has its folders
    in_memory = Path(f"/dev/shm/.hvd-{user}")
    python = python_for(user, folder)
    foreign = folder / "tmp" / f"hvd-{user}"
    foreign.mkdir(parents=True)
    if is_taken:
        in_memory.mkdir(0o700)
    environ = {
        **python.environ,
        "TMPDIR": str(folder / "tmp"),
        "XDG_RUNTIME_DIR": "",
        "RUNTIME_DIRECTORY": str(foreign),
    }
    server = Server(folder, workers=1, interval=0.2, environ=environ)
    server.command = [sys.executable, "-c", AS_STRANGER.format(user=user), python.program, *server.command[1:]]
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, in_memory, ignore_errors=True)
        stack.enter_context(server.start(ready=False))
        until(lambda: "Started aggregator" in server.log, f"it serves; log:\n{server.log}", 20)
        assert server.get("/hello").status == 200
        places = f".hvd-{user}{'+*' if is_taken else ''}/*/admin.sock"
        until(lambda: [*in_memory.parent.glob(places)], f"its socket is in memory; log:\n{server.log}", 5)
        until(lambda: server.get("/health").json()["status"] == "healthy", "nothing is missing", 20)
        assert not list(foreign.iterdir())
        server.stop()
        assert [*in_memory.parent.glob(f"{in_memory.name}*")] == [in_memory] * is_taken


def test_a_file_of_the_working_folder_is_not_taken_for_a_module(tmp_path: Path) -> None:
    """The aggregator is executed afresh, and imports the library's `random`, not what lies there."""
    (tmp_path / "random.py").write_text("raise SystemExit('not this one')\n")
    server = Server(tmp_path)
    server.command.insert(1, "-P")  # as the installed script starts gunicorn: without the folder
    with server:
        server.wait_ready()
    assert not server.alarms
