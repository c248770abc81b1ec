"""Where workers are stuck: told by the admin server, by the log, and after their deaths."""

import contextlib
import os
import pwd
import re
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.app import Stuck
from tests.support.http import Connection
from tests.support.python import python_for
from tests.support.server import Server, stopped, upgradable
from tests.support.waiting import PATIENCE, until

PATH = "/api/v1/stacks"
APP = str(Path(__file__).parents[1] / "support" / "app.py")
SYNC: dict[str, object] = {"worker_class": "sync", "workers": 1, "timeout": 3600}
GTHREAD: dict[str, object] = {"worker_class": "gthread", "workers": 1, "threads": 4, "timeout": 3600}
WAYS = ["regex", "loop", "sleep", "lock", "read", "pause"]


def ask(server: Server, path: str) -> threading.Thread:
    """Ask for it, and don't care what becomes of that."""

    def get() -> None:
        with contextlib.suppress(OSError), Connection(server.address, 3600) as connection:
            connection.get(path)

    thread = threading.Thread(target=get, daemon=True)
    thread.start()
    return thread


def only(server: Server, kind: str = "worker") -> int:
    """The pid of the one there is."""
    (pid,) = until(lambda: pids if len(pids := server.pids(kind)) == 1 else None, f"there is one {kind}")
    return pid


def wait_stuck(server: Server, *paths: str) -> None:
    until(lambda: sorted(server.in_progress()) == sorted(paths), f"{paths} are in progress")


def stacks(server: Server, pid: int | None = None) -> list[dict[str, Any]]:
    answer = server.admin_get(PATH + (f"?pid={pid}" if pid else ""))
    assert answer.status == 200, answer
    processes: list[dict[str, Any]] = answer.json()["processes"]
    return processes


def told(server: Server, pid: int | None = None) -> list[dict[str, Any]]:
    """The stacks, once there are some of each: a worker that gets no processor for 0.6 s has none."""

    def answer() -> list[dict[str, Any]]:
        processes = stacks(server, pid)
        return [] if any(process["error"] for process in processes) else processes

    return until(answer, "all are told")


def descriptors(pid: int) -> Counter[str]:
    """What a process has open, and how often; what is closed meanwhile is left out."""
    names = Counter[str]()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            names[str(entry.readlink())] += 1
    return names


def frames_of(process: dict[str, Any], path: str) -> list[dict[str, Any]]:
    """Of the thread that serves this path."""
    (frames,) = [one["frames"] for one in process["threads"] if one["request"] and one["request"]["path"] == path]
    assert isinstance(frames, list)
    return frames


def lines_of(function: str) -> range:
    """Lines of the app's function."""
    code = getattr(Stuck, function).__code__
    numbers = [line for _, _, line in code.co_lines() if line]
    return range(min(numbers), max(numbers) + 1)


def in_app(frames: list[dict[str, Any]], function: str) -> bool:
    """Whether one of the frames is in a line of that function of the app."""
    return any(
        frame["file"].endswith("tests/support/app.py")
        and frame["function"].endswith(function)
        and frame["line"] in lines_of(function)
        for frame in frames
    )


@pytest.mark.parametrize("settings", [SYNC, GTHREAD], ids=["sync", "gthread"])
def test_a_thread_is_found_wherever_it_is_stuck(tmp_path: Path, settings: dict[str, object]) -> None:
    """In C code that keeps the interpreter's lock, in a loop, asleep, at a lock: within 200 ms, again and again."""
    with Server(tmp_path, **settings) as server:
        for way in WAYS:
            pid, path = only(server), f"/stuck/{way}"
            ask(server, path)
            wait_stuck(server, path)
            times = []
            for _ in range(5):
                began = time.monotonic()
                (process,) = told(server, pid)
                times.append(time.monotonic() - began)
                assert (process["pid"], process["kind"]) == (pid, "worker")
                assert process["taken_age_seconds"] < PATIENCE
                assert in_app(frames_of(process, path), way), process
            assert min(times) < 0.2 * PATIENCE, times
            os.kill(pid, signal.SIGKILL)
            until(
                lambda pid=pid: only(server) != pid and server.get("/hello").status == 200, "another one is there", 30
            )


def test_many_ask_at_once_and_again_and_again(tmp_path: Path) -> None:
    """Each gets stacks that were taken after it has asked; nothing is left of it."""
    with Server(tmp_path, **GTHREAD) as server:
        pid = only(server)
        for _ in range(2):
            ask(server, "/stuck/sleep")
        wait_stuck(server, "/stuck/sleep", "/stuck/sleep")
        ask(server, "/stuck/regex")
        wait_stuck(server, "/stuck/sleep", "/stuck/sleep", "/stuck/regex")
        master = descriptors(server.pid)
        failed: list[object] = []

        def again() -> None:
            with Connection(server.admin_address) as connection:
                for _ in range(8):
                    (process,) = connection.get(PATH).json()["processes"]
                    is_told = not process["error"] and in_app(frames_of(process, "/stuck/regex"), "regex")
                    if not is_told and not re.search("no processor|not taken the signal", process["error"] or ""):
                        failed.append(process)

        askers = [threading.Thread(target=again) for _ in range(4)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join(120 * PATIENCE)
        assert failed == []
        assert only(server) == pid
        until(lambda: descriptors(server.pid) <= master, "the master has none open that it had not before")
        assert [line for line in server.log.splitlines() if "\x01" in line] == []


def test_requests_are_served_while_stacks_are_taken(tmp_path: Path) -> None:
    """500 under load, of workers that run Python code in all their threads: none fails, and all are counted."""
    with Server(tmp_path, worker_class="gthread", workers=2, threads=4, timeout=3600) as server:
        pids, failed, taken = server.pids("worker"), [], 0
        before = server.counted().get(("/burn", 200), 0)

        def load() -> None:
            with server.connection(120) as connection:
                for _ in range(50):
                    answer = connection.get("/burn?s=0.005")
                    if answer.status != 200:
                        failed.append(answer)

        clients = [threading.Thread(target=load) for _ in range(10)]
        for client in clients:
            client.start()
        while any(client.is_alive() for client in clients):
            taken += sum(process["error"] is None for process in stacks(server))
        assert failed == []
        assert taken > 10
        assert sorted(server.pids("worker")) == sorted(pids)
        assert server.counted()["/burn", 200] == before + 500


def post_mortem(server: Server, pid: int) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        with server.view() as view:
            return next((dict(one) for one in view.post_mortems() if one["pid"] == pid), None)

    return until(found, f"the post-mortem of {pid}", 60) or {}


@pytest.mark.parametrize("settings", [SYNC, GTHREAD], ids=["sync", "gthread"])
@pytest.mark.parametrize("way", ["regex", "held"])
def test_a_timeout_is_a_line_of_code(tmp_path: Path, settings: dict[str, object], way: str) -> None:
    """In the post-mortem and in the log, however the worker had to be ended; slow requests are not looked at."""
    seconds = round(PATIENCE + 0.5)
    with Server(tmp_path, **{**settings, "timeout": seconds, "watch_slow_request_seconds": 0}) as server:
        pid, path = only(server), f"/stuck/{way}"
        ask(server, path)
        entry = post_mortem(server, pid)
        assert entry["cause"] == "timeout"
        (request,) = entry["requests"]
        assert request["path"] == path
        assert in_app(request["stack"], way), request
        died = f"(pid:{pid}) died (timeout)"
        (line,) = until(lambda: [line for line in server.log.splitlines() if died in line], "the log tells of it")
        assert re.search(rf"GET {path} \(\d+\.\d s\) at {re.escape(APP)}:\d+ ", line), line
        assert "crashed" not in server.log
        until(lambda: only(server) != pid, "another one is there")


ABORT_HOOK = """
import os
from hvd.gunicorn_conf import *

def worker_abort(worker):
    with open(os.environ["NOTES"], "a") as file:
        file.write("aborted\\n")
"""


def test_the_hook_of_an_abort_is_called_once(tmp_path: Path) -> None:
    """After the stacks are left: gunicorn's own handler runs."""
    conf, notes, seconds = tmp_path / "own.py", tmp_path / "notes", round(PATIENCE + 0.5)
    conf.write_text(ABORT_HOOK)
    environ, arguments = {"NOTES": str(notes)}, ("-c", str(conf))
    with Server(tmp_path, arguments=arguments, environ=environ, **{**SYNC, "timeout": seconds}) as server:
        pid = only(server)
        ask(server, "/stuck/sleep")
        entry = post_mortem(server, pid)
        assert notes.read_text() == "aborted\n"
        assert entry["cause"] == "timeout"
        assert in_app(entry["requests"][0]["stack"], "sleep")
        until(lambda: only(server) != pid, "another one is there")


def test_an_app_may_use_faulthandler_itself(tmp_path: Path) -> None:
    """Its crash goes where it says; the post-mortem has what was taken before, and the admin server still tells."""
    (tmp_path / "own_app.py").write_text(
        "import faulthandler, sys\nfaulthandler.enable(sys.stderr)\nfaulthandler.dump_traceback_later(3600)\n"
        "from tests.support.app import app\n"
    )
    with Server(tmp_path, app="own_app:app", arguments=("--pythonpath", str(tmp_path)), **GTHREAD) as server:
        pid = only(server)
        ask(server, "/stuck/lock")
        wait_stuck(server, "/stuck/lock")
        (process,) = stacks(server)
        assert in_app(frames_of(process, "/stuck/lock"), "lock")
        os.kill(pid, signal.SIGSEGV)
        entry = post_mortem(server, pid)
        assert entry["cause"] == "SIGSEGV"
        assert in_app(entry["requests"][0]["stack"], "lock")
        assert "\nFatal Python error: Segmentation fault\n" in server.log
        until(lambda: only(server) != pid, "another one is there")


@pytest.mark.parametrize("settings", [SYNC, GTHREAD], ids=["sync", "gthread"])
@pytest.mark.parametrize(("how", "name"), [("segv", "SIGSEGV"), ("abort", "SIGABRT"), ("bus", "SIGBUS")])
def test_a_crash_is_a_line_of_code(tmp_path: Path, settings: dict[str, object], how: str, name: str) -> None:
    """It ends by its signal, as without hvd, and leaves where it was."""
    with Server(tmp_path, **settings) as server:
        pid = only(server)
        ask(server, f"/crash/{how}")
        entry = post_mortem(server, pid)
        assert (entry["cause"], entry["signal"]) == (name, name)
        (request,) = entry["requests"]
        assert [frame for frame in request["stack"] if frame["file"] == APP and frame["function"] == how], request
        (line,) = until(
            lambda: [line for line in server.log.splitlines() if " crashed (" in line], "the log tells of it"
        )
        assert re.search(rf"worker \(pid:{pid}\) crashed \(.+\) at {re.escape(APP)}:\d+ {how}", line)
        until(lambda: only(server) != pid, "another one is there")


def test_a_slow_request_is_logged_with_its_place(tmp_path: Path) -> None:
    """Once; the oldest requests have the stack then, wherever they are asked for."""
    with Server(tmp_path, **{**GTHREAD, "watch_slow_request_seconds": 0.5 * PATIENCE}) as server:
        pid = only(server)
        ask(server, "/stuck/lock")
        ask(server, "/slow?s=0.01")
        (line,) = until(
            lambda: [line for line in server.log.splitlines() if "GET /stuck/lock takes" in line], "it is logged", 20
        )
        assert re.search(rf"\(pid:{pid}\): GET /stuck/lock takes \d\.\d s by now, at {re.escape(APP)}:\d+ ", line)
        assert "[INFO]" in line
        for answer in (server.get("/api/v1/snapshot"), server.admin_get("/health")):
            (longest,) = [one for one in answer.json()["longest_requests"] if one["path"] == "/stuck/lock"]
            assert in_app(longest["stack"], "lock")
        ask(server, "/stuck/sleep")
        until(lambda: "GET /stuck/sleep takes" in server.log, "another one is logged, too", 20)
        assert server.log.count("GET /stuck/lock takes") == 1
        assert "GET /slow" not in server.log
        os.kill(pid, signal.SIGKILL)
        entry = post_mortem(server, pid)
        for request in entry["requests"]:
            assert in_app(request["stack"], request["path"].removeprefix("/stuck/"))
        until(lambda: only(server) != pid, "another one is there")


def test_a_worker_that_boots_is_not_killed_by_being_asked(tmp_path: Path) -> None:
    """It tells where it is importing; of others a pid is not found."""
    gate = tmp_path / "open"
    (tmp_path / "slow_boot.py").write_text(
        f"import os, time\nwhile not os.path.exists({str(gate)!r}):\n    time.sleep(0.01)\n"
        "from tests.support.app import app\n"
    )
    server = Server(tmp_path, app="slow_boot:app", arguments=("--pythonpath", str(tmp_path)), **GTHREAD)
    try:
        server.start(ready=False)
        until(lambda: server.block.exists() and "Booting worker" in server.log, "it boots", 20)
        pid = only(server)
        for _ in range(20):
            (process,) = stacks(server)
            assert process["pid"] == pid
            assert process["error"] in (None, "it has just been started, or runs another program")
        (process,) = stacks(server)
        assert any(frame["file"].endswith("slow_boot.py") for one in process["threads"] for frame in one["frames"])
        assert server.admin_get(f"{PATH}?pid={server.pid}").status == 404
        gate.touch()
        server.wait_ready()
        assert only(server) == pid
        assert server.stop() == 0
    finally:
        server.destroy()


def test_a_stopped_worker_is_said_to_be(tmp_path: Path) -> None:
    """And answers once it goes on; so is a stopped master, after a second."""
    with Server(tmp_path, **GTHREAD) as server:
        pid = only(server)
        with stopped(pid):
            (process,) = stacks(server)
            assert (process["error"], process["threads"]) == ("it is stopped by a signal", [])
        (process,) = until(lambda: got if not (got := stacks(server))[0]["error"] else None, "it answers")
        assert process["threads"]
        with stopped(server.pid):
            (process,) = stacks(server)
            assert "its master has not taken them" in process["error"]
        assert only(server) == pid


def test_workers_of_both_masters_are_told_in_an_upgrade(tmp_path: Path) -> None:
    """By the newer one's admin server; each master asks its own."""
    with upgradable(Server(tmp_path, **GTHREAD)) as server:
        old = only(server)
        ask(server, "/stuck/regex")
        wait_stuck(server, "/stuck/regex")
        server.signal(signal.SIGUSR2)
        until(lambda: len(server.pids("worker")) == 2 and len(server.pids("admin_server")) == 2, "both have theirs", 30)
        for _ in range(5):
            processes = {process["pid"]: process for process in told(server)}
            assert len(processes) == 2
            assert in_app(frames_of(processes[old], "/stuck/regex"), "regex")
        os.kill(old, signal.SIGKILL)
        server.signal(signal.SIGTERM)
        server.wait(30)
        (process,) = told(server)
        assert process["threads"]
        server.stop_successor()


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that every user may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="hvd-test-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change its user")
def test_workers_of_another_user_are_told(folder: Path) -> None:
    """Where the master is root, and neither workers nor companions are."""
    user = pwd.getpwnam("nobody")
    python = python_for(user.pw_uid, folder)
    server = Server(
        folder, arguments=("--user", "nobody", "--group", str(user.pw_gid)), environ=python.environ, **GTHREAD
    )
    server.command[0] = python.program
    with server:
        ask(server, "/stuck/regex")
        wait_stuck(server, "/stuck/regex")
        (process,) = told(server)
        assert os.stat(f"/proc/{process['pid']}").st_uid != 0
        assert in_app(frames_of(process, "/stuck/regex"), "regex")
        os.kill(process["pid"], signal.SIGKILL)
        until(lambda: only(server) != process["pid"], "another one is there")


def test_who_asked_for_faulthandler_gets_all_of_a_crash(tmp_path: Path) -> None:
    """In the log, where standard error goes, too."""
    with Server(tmp_path, environ={"PYTHONFAULTHANDLER": "1"}, **GTHREAD) as server:
        pid = only(server)
        ask(server, "/crash/segv")
        until(lambda: "the whole dump:\nFatal Python error: Segmentation fault" in server.log, "it is logged", 20)
        until(lambda: only(server) != pid, "another one is there")


@pytest.fixture(autouse=True)
def no_core_files() -> Iterator[None]:
    """Crashes leave none in the folder of the test."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, before)
