"""How many workers, threads and slots there are, whoever asks for them; and what a start needs."""

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from hvd.core.block import open_block
from hvd.core.layout import COMPANION_SLOTS
from hvd.daemon.ownership import SPARE_ROWS
from tests.support.server import Server
from tests.support.waiting import until


def test_more_workers_than_slots_are_refused_once(tmp_path: Path) -> None:
    """By a signal: one line, and no endless boots. By settings, in an older block: /health says it too."""
    with Server(tmp_path, workers=2, slots=8, interval=0.2) as server:
        for count in (3, 4):  # there is room for four, and for those that replace them
            server.signal(signal.SIGTTIN)  # one by one: signals that come together are one
            until(lambda count=count: len(server.pids("worker")) == count, "a worker more")
        server.signal(signal.SIGTTIN)
        until(lambda: "5 workers asked for, and the block has room for 4" in server.log, "the fifth is refused")
        old = set(server.pids("worker"))
        os.kill(min(old), signal.SIGTERM)
        until(lambda: len(new := set(server.pids("worker"))) == 4 and new != old, "one that ends is replaced")
        assert server.log.count("Booting worker") == 5
        server.wait_ready()

        server.kill_master()
        until(lambda: not server.processes(), "its processes end", 20)
        again = Server(tmp_path, instance=server.instance, workers=6, slots=20, interval=0.2)
        with again.start(ready=False):
            until(lambda: "Listening at" in again.log, "it listens", 30)
            reasons = ["2 workers asked for can't be started: the log says why"]
            until(lambda: again.get("/health").json()["reasons"] == reasons, f"it is said; log:\n{again.log}", 30)
            assert len(again.pids("worker")) == 4
            assert again.log.count("Booting worker") == 4


def test_a_reload_needs_no_slot_for_each_worker(tmp_path: Path) -> None:
    """Where old and new ones don't all find room, some take the others' places, and then the rest."""
    with Server(tmp_path, workers=6, slots=10, threads=1, interval=0.2) as server:
        server.reload()
        assert server.log.count("Booting worker") == 12


def test_the_block_follows_gunicorns_command_line(tmp_path: Path) -> None:
    """Its name the address, its slots the workers, its rows the threads; the environment's arguments too."""
    path = tmp_path / "own.sock"
    server = Server(
        tmp_path,
        arguments=("-w", "9", "-b", f"unix:{path}"),
        environ={"HVD_INSTANCE": "", "GUNICORN_CMD_ARGS": "--threads 3"},
        bind="127.0.0.1:1",
    )
    server.bind = f"unix:{path}"
    with server.start(ready=False):
        until(path.exists, f"it listens; log:\n{server.log}", 20)
        server.instance = until(lambda: server.get("/status").json()["instance"], "it answers", 20)
        assert server.instance != "127.0.0.1-1"
        block = open_block(server.block.name)
        os.close(block.fd)
        assert block.layout.slots == COMPANION_SLOTS + 72
        assert block.layout.rows == 3 + SPARE_ROWS


def open_files(pid: int) -> list[str]:
    """What the process has open, files without a name too, which psutil leaves out; some may be closed meanwhile."""
    files = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            files.append(os.readlink(entry))
    return files


def test_heartbeats_need_no_temporary_folder(tmp_path: Path) -> None:
    """They are in memory; a folder that was named and isn't there is one line, before anything is left behind."""
    with Server(tmp_path, workers=1, environ={"TMPDIR": "/nowhere"}) as server:
        (worker,) = server.pids("worker")
        assert any(name.startswith("/dev/shm/wgunicorn-") for name in open_files(worker))
    refused = Server(tmp_path, workers=1, arguments=("--worker-tmp-dir", "/nowhere"))
    try:
        assert refused.start_in_vain() == 2
        assert not refused.block.exists()
        (line,) = (line for line in refused.log.splitlines() if "[INFO]" not in line)
        assert line.startswith(
            "hvd: worker_tmp_dir is '/nowhere', where workers can't have files (/nowhere doesn't exist"
        )
    finally:
        refused.destroy()


@pytest.mark.parametrize(
    ("hook", "signum"),
    [
        ("def pre_fork(server, worker): raise ValueError('own hook')", None),
        ("def when_ready(server): raise ValueError('own hook')", None),
        ("import time\ndef on_starting(server): print('own hook', flush=True); time.sleep(1000)", signal.SIGTERM),
        ("import time\ndef on_starting(server): print('own hook', flush=True); time.sleep(1000)", signal.SIGINT),
    ],
)
def test_a_start_that_ends_leaves_no_block(tmp_path: Path, hook: str, signum: signal.Signals | None) -> None:
    """By a signal, or an exception out of gunicorn's loop, after which it calls no hook at all."""
    conf = tmp_path / "own.py"
    conf.write_text(f"from hvd.gunicorn_conf import *\n{hook}\n")
    server = Server(tmp_path, workers=1, arguments=("-c", str(conf)))
    server.start(ready=False)
    try:
        until(lambda: "own hook" in server.log, f"its hook is called; log:\n{server.log}", 20)
        if signum:
            server.signal(signum)
        assert server.wait(30) != 0
        assert not server.block.exists()
        assert not (signum and "Traceback" in server.log), "it was told to end: nothing is wrong"
    finally:
        server.destroy()


def test_files_and_folders_that_are_gone_end_no_daemon(tmp_path: Path) -> None:
    """USR1 and HUP open the log again; USR2 executes gunicorn in the folder where it was started."""
    logs, folder = tmp_path / "logs", tmp_path / "folder"
    logs.mkdir()
    folder.mkdir()
    socket = tmp_path / "http.sock"
    server = Server(
        folder, bind=f"unix:{socket}", workers=2, interval=0.2, arguments=("--error-logfile", str(logs / "error.log"))
    )
    server.log_path = tmp_path / "out"
    with server.start(ready=False):
        until(socket.exists, "it listens", 20)
        server.wait_ready()
        shutil.rmtree(logs)
        server.signal(signal.SIGUSR1)
        until(lambda: len(server.pids("worker")) == 2, "it goes on")
        server.reload()
        shutil.rmtree(folder)
        server.signal(signal.SIGUSR2)
        until(lambda: "no new master could be executed" in server.log, f"it is said; log:\n{server.log}")
        old = set(server.pids("worker"))
        server.signal(signal.SIGTTIN)
        until(lambda: len(server.pids("worker")) == 3, "it goes on")
        assert old < set(server.pids("worker")), "and nobody stopped its workers"
        server.wait_ready()
