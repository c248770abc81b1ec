"""The commands with real daemons: which of them is asked, and what is said while it has no thread left to answer."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hvd.settings.runtime_folder import ADMIN_SOCKET
from tests.support.http import connect
from tests.support.jobs import JobsDaemon
from tests.support.server import Server, stopped
from tests.support.waiting import PATIENCE, until

STRANGER = 12_345

Done = subprocess.CompletedProcess[str]


AS_USER = """import os, sys
import hvd.cli.main, hvd.cli.top.command
os.setgroups([]), os.setgid(int(sys.argv[1])), os.setuid(int(sys.argv[1]))
sys.exit(hvd.cli.main.main(sys.argv[2:]))"""
"""Modules come first: another user may not read where Python and hvd are."""


def hvd(*arguments: str, user: int | None = None, **environ: str) -> Done:
    """The command, in an environment that has nothing of hvd but this."""
    plain = {name: text for name, text in os.environ.items() if name != "PORT" and not name.startswith("HVD_")}
    command = [sys.executable, "-m", "hvd"] if user is None else [sys.executable, "-c", AS_USER, str(user)]
    done = subprocess.run(
        [*command, *arguments],
        env=plain | environ,
        capture_output=True,
        text=True,
        timeout=30 * PATIENCE,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def listed(**environ: str) -> dict[str, dict[str, Any]]:
    """What `hvd list` tells of each instance."""
    return {daemon["instance"]: daemon for daemon in json.loads(hvd("list", "--json", **environ).stdout)}


@contextlib.contextmanager
def stuck(server: Server, threads: int, path: str = "/gate?file={}/gate") -> Iterator[None]:
    """All threads of its workers serve a request that does not end before this does."""
    with contextlib.ExitStack() as stack:
        stack.callback((server.folder / "gate").touch)

        def are_busy() -> bool:
            """One more request, as a worker may take more of them than it has threads."""
            if len(server.in_progress()) == threads:
                return True
            client = stack.enter_context(connect(server.address))
            client.sendall(f"GET {path.format(server.folder)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            return False

        until(are_busy, "all threads are busy", pause=0.1)
        yield


@pytest.mark.parametrize("named", [True, False], ids=["--instance", "settings"])
def test_commands_answer_while_no_thread_is_left(tmp_path: Path, named: bool) -> None:
    """Without being told where: the admin server does."""
    with JobsDaemon(tmp_path, {"good": {"command": ["true"]}}, workers=2, threads=2, interval=0.2) as server:
        which = ["--instance", server.instance] if named else []
        environ = {} if named else {"HVD_INSTANCE": server.instance, "HVD_BIND": server.bind}
        with stuck(server, 4):
            with pytest.raises(OSError, match="timed out"), server.connection(timeout=0.5) as client:
                client.get("/health")
            for command in ("status", "top --once", "top --json", "snapshot", "watch --count 1", "jobs list"):
                before = time.monotonic()
                done = hvd(*command.split(), *which, "--timeout", f"{5 * PATIENCE}", **environ)
                assert (done.returncode in (0, 3), done.stderr) == (True, ""), (command, done.stderr)
                assert done.stdout.strip()
                assert time.monotonic() - before < 5 * PATIENCE, command


def test_status_tells_what_holds_the_service_up(tmp_path: Path) -> None:
    """All threads busy, since when, with which requests, where in the code; and what waits. So it exits with 3."""
    with Server(tmp_path, workers=1, threads=2, interval=0.2, watch_slow_request_seconds=1) as server, stuck(server, 2):
        address, which = connect(server.address), ["--instance", server.instance]
        with address:
            address.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            until(lambda: "app.py" in hvd("status", *which).stdout, "the place is told", 20)
            done = until(lambda: (done := hvd("status", *which)).returncode == 3 and done, "it is saturated", 20)
        lines = [line.strip("│ ") for line in done.stdout.splitlines()]
        (worker,) = server.pids("worker")
        for pattern in (
            r"Health +degraded( since .*)?",
            r"saturated: all 2 threads busy for \d.*",
            r"Capacity +2 of 2 busy for \d+\.\ds, \d+% of the time",
            r"Backlog +0 of \d[\d,]*; [1-9]\d* for a thread",
            rf"Longest +\d+\.\ds GET /gate, worker {worker}, at app\.py:\d+ (\w+\.)?on_get",
        ):
            assert any(re.fullmatch(pattern, line) for line in lines), (pattern, done.stdout)


def test_of_two_daemons_one_has_to_be_chosen(tmp_path: Path) -> None:
    """Where neither arguments nor settings say which; both are named, and either can be asked."""
    with Server(tmp_path, workers=1) as one, Server(tmp_path, workers=1) as other:
        done = hvd("status")
        assert done.returncode == 2
        assert "choose one by --instance" in done.stderr
        for server in (one, other):
            assert server.instance in done.stderr
            assert hvd("status", "--instance", server.instance).returncode == 0


def test_the_list_has_daemons_that_run_and_only_those(tmp_path: Path) -> None:
    """One whose admin server does not answer too; one that was killed not, though its block is still there."""
    with Server(tmp_path, workers=2) as server, Server(tmp_path, workers=1) as killed:
        both = listed()
        assert (both[server.instance]["health"], both[server.instance]["workers"]) == ("healthy", 2)
        assert both[server.instance]["masters"] == [server.pid]
        killed.kill_master()
        until(lambda: not killed.processes(), "its processes have ended")
        assert killed.block.exists()
        assert killed.instance not in listed()
        assert "runs on this machine: these run:" in hvd("status", "--instance", killed.instance).stderr
        (admin,) = server.pids("admin_server")
        with stopped(server.pid), stopped(admin):
            done = hvd("list", "--timeout", "0.5")
            assert done.returncode == 3
            (line,) = (line for line in done.stdout.splitlines() if line.startswith(server.instance))
            assert "unreachable" in line
            assert f"! {server.instance}: did not answer within 0.5 s" in done.stdout


def test_a_dead_socket_falls_through_to_the_bind(tmp_path: Path) -> None:
    """As one that a killed daemon left; what was tried is said where nobody answers there either."""
    with Server(tmp_path, workers=1) as server:
        folder = Path(str(server.admin_address)).parent
        server.kill_master()
        until(lambda: not server.processes(), "its processes have ended")
        assert (folder / ADMIN_SOCKET).exists()
        done = hvd("status", HVD_INSTANCE=server.instance, HVD_BIND=f"unix:{tmp_path}/none")
        assert done.returncode == 1
        assert f"no daemon answers at unix:{tmp_path}/none (no such file or directory)" in done.stderr
        assert f"nor before at unix:{folder}/{ADMIN_SOCKET} (connection refused)" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("owner", [STRANGER, 0])
def test_another_users_socket_is_not_asked(tmp_path: Path, owner: int) -> None:
    """In a folder that has the name of one's own: whoever listens there would tell what they like."""
    tmp_path.chmod(0o1777)
    path = tmp_path / "hvd-0" / "shop" / ADMIN_SOCKET
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        for part in (path, path.parent, path.parent.parent):
            os.chown(part, owner, -1)
        asked = threading.Event()

        def answer() -> None:
            with contextlib.suppress(OSError), listener.accept()[0] as client:
                asked.set()
                client.recv(4096)

        thread = threading.Thread(target=answer)
        thread.start()
        environ = {"TMPDIR": str(tmp_path), "HVD_INSTANCE": "shop", "HVD_BIND": f"unix:{tmp_path}/none"}
        done = hvd("status", **environ)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert done.returncode == 1
    assert asked.is_set() == (owner == 0)
    assert (str(path) in done.stderr) == (owner == 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_users_see_their_own_daemons(tmp_path: Path) -> None:
    """And are told that none runs, and how to start one."""
    with Server(tmp_path, workers=1) as server:
        assert server.instance in hvd("list").stdout
        done = hvd("list", user=STRANGER)
        assert server.instance not in done.stdout
        if done.returncode == 1:
            assert "start one with `hvd run`" in done.stdout
        assert hvd("status", "--instance", server.instance, user=STRANGER).returncode == 1


def test_stacks_show_where_workers_are_stuck(tmp_path: Path) -> None:
    """One holds the interpreter's lock in C code, and nothing else in it runs; one sleeps. Idle threads are a line."""
    with Server(tmp_path, workers=2, threads=2, timeout=60) as server, contextlib.ExitStack() as stack:
        for path in ("/hold?s=50", "/slow/b?s=50"):
            client = stack.enter_context(connect(server.address))
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            until(lambda path=path: path.partition("?")[0] in server.in_progress(), f"{path} is in progress")
        pids = server.pids("worker")
        done = hvd("stacks", "--instance", server.instance)
        assert (done.returncode, done.stderr) == (0, "")
        assert all(f"worker {pid}, slot " in done.stdout for pid in pids)
        for path in ("/hold", "/slow/b"):
            (part,) = (part for part in done.stdout.split("\n  GET ")[1:] if part.startswith(path))
            frames = part.splitlines()[1:]
            assert re.fullmatch(r"  > \S*/tests/support/app\.py:\d+ in (\w+\.)?on_get", frames[0]), frames
            assert not any(frame.startswith("  > ") for frame in frames[1:])
        assert "  1 waiting for connections" in done.stdout
        one = json.loads(hvd("stacks", str(pids[0]), "--json", "--instance", server.instance).stdout)
        assert [process["pid"] for process in one["processes"]] == pids[:1]
        assert "app.py:" in hvd("stacks", "--all", "--instance", server.instance).stdout
        done = hvd("stacks", "1", "--instance", server.instance)
        assert (done.returncode, done.stdout) == (5, "")
        assert "1 is no worker" in done.stderr
        for pid in pids:
            os.kill(pid, signal.SIGKILL)  # they would not end in time


def test_a_service_s_address_has_no_stacks(tmp_path: Path) -> None:
    """Which is told, with where to find them."""
    with Server(tmp_path, workers=1) as server:
        done = hvd("stacks", "--url", server.url)
        assert done.returncode == 5
        assert "it is not the daemon's admin server, whose address hvd list shows" in done.stderr
