"""`hvd upgrade` of a daemon whose manager is a socket of the test: what is told, what goes on, what goes back."""

import os
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hvd import __version__
from hvd.core.proc import is_alive
from hvd.metrics.events import Event, read_events
from tests.support.http import Load
from tests.support.server import Server, stopped, upgradable
from tests.support.waiting import PATIENCE, crowding, until

RELEASE = """\
import pathlib, time
folder = pathlib.Path(__file__).parent
if (folder / "broken").exists():
    raise RuntimeError("this release is broken")
while (folder / "slow").exists():
    time.sleep(0.05)
from tests.support.app import app
"""


class Manager:
    """A service manager's socket: all that a daemon tells it, signs of life left out but for who gave the last one."""

    def __init__(self) -> None:
        self.address = f"@hvd-test-{uuid.uuid4().hex}"
        self.messages: list[str] = []
        self.signs = 0
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._thread = threading.Thread(target=self._listen)

    def _listen(self) -> None:
        while message := self._listener.recv(4096).decode():
            if message == "WATCHDOG=1\n":
                self.signs += 1
            elif not message.startswith("STATUS="):
                self.messages.append(message.strip().replace("\n", " "))

    def __enter__(self) -> "Manager":
        self._listener.bind(self.address.replace("@", "\0", 1))
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"", self.address.replace("@", "\0", 1))
        self._thread.join()
        self._listener.close()

    def heard(self) -> list[str]:
        """What it was told since the last call."""
        heard, self.messages = self.messages, []
        return heard


class Upgrades:
    """A daemon, and `hvd upgrade` of it."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        command = (sys.executable, "-m", "hvd", "upgrade", "--instance", self.server.instance, *arguments)
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, *arguments: str) -> tuple[int, str]:
        """-> exit status, and all that it prints."""
        with self.begin("--wait", str(30 * PATIENCE), *arguments) as process:
            output, _ = process.communicate(timeout=120 * PATIENCE)
        return process.returncode, output

    def master(self) -> int:
        """The only one that there is."""
        with self.server.opened() as block:
            (pid,) = filter(is_alive, block.masters())
        return pid

    def upgrade(self) -> int:
        """-> the new master."""
        old = self.master()
        status, output = self.run()
        assert status == 0, f"{output}\n{self.server.log}"
        new = self.master()
        assert f"hvd {__version__} (master {old})" in output
        assert f"upgraded from hvd {__version__} to {__version__} in" in output
        assert f"master {new}\n" in output
        assert not is_alive(old)
        return new


@contextmanager
def upgrades(folder: Path, manager: Manager) -> Iterator[Upgrades]:
    """A daemon whose app is a release that can be broken, or slow, by a file beside it."""
    (folder / "release.py").write_text(RELEASE)
    environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": str(round(3e6 * PATIENCE))}
    settings = {"workers": 2, "interval": 0.2, "bind": f"unix:{folder / 'sock'}"}
    with upgradable(Server(folder, app="release:app", environ=environ, **settings)) as server:  # type: ignore[arg-type]
        yield Upgrades(server)


def marks(server: Server) -> list[Event]:
    """What is told of masters; alerts may come beside it, as a master that is killed takes its processes with it."""
    with server.opened() as block:
        events = [event for event in read_events(block) if not event["kind"].startswith("alert")]
    return [event for event in events if event.get("process") in (None, "master")]


@pytest.mark.long(20)
def test_upgrades_under_load_lose_nothing_and_tell_who_leads(tmp_path: Path) -> None:
    """Two of them one after the other, then by hand: the old master leads again where the new one is killed, and the
    new one goes on where the old one is. The manager's variables reach no process that isn't a master.
    """
    with Manager() as manager, upgrades(tmp_path, manager) as daemon:
        server = daemon.server
        until(lambda: manager.heard() == ["READY=1"], "it is ready")
        with Load(server.address, ["/health"], 2, pause=0.01) as load:
            first = daemon.upgrade()
            server.wait()
            second = daemon.upgrade()
        assert load.tally.failed.total() == 0, load.tally.failed
        assert server.counted()["/health", 200] >= load.tally.responses > 100
        assert {*manager.heard()} == {f"{text}MAINPID={pid}" for pid in (first, second) for text in ("", "READY=1 ")}
        for process in server.processes():
            if process.pid not in (second, *server.pids("worker")):
                assert "NOTIFY_SOCKET" not in process.environ()

        def start_new() -> int:
            os.kill(second, signal.SIGUSR2)
            until(lambda: manager.messages, "the new one leads", 30)
            with server.opened() as block:
                (new,) = {*block.masters()} - {second}
            assert manager.heard() == [f"READY=1 MAINPID={new}"]
            return new

        os.kill(start_new(), signal.SIGKILL)
        until(lambda: manager.heard() == [f"READY=1 MAINPID={second}"], "the old one leads again")
        start_new()
        os.kill(second, signal.SIGKILL)
        before = manager.signs
        until(lambda: manager.signs > before, "the new one gives signs of life")
        events = until(lambda: len(told := marks(server)) == 8 and told, "the old one's death is told")
        kinds = [event["kind"] for event in events]
        assert kinds[:4] == ["start", *["upgrade"] * 3]
        assert (sorted(kinds[4:6]), kinds[6:]) == (["death", "upgrade"], ["upgrade", "death"])
        assert {event["version"] for event in events if event["kind"] == "upgrade"} == {__version__}
        (back,) = (event["text"] for event in events if "gone back on" in event["text"])
        assert back.endswith(f"has ended (SIGKILL), hvd {__version__} goes on as master {second}")
        os.kill(daemon.master(), signal.SIGTERM)
        until(lambda: not server.processes(), "it ends cleanly", 30)
        assert manager.heard() == ["STOPPING=1 STATUS=stopping"]


def test_an_upgrade_that_fails_goes_back(tmp_path: Path) -> None:
    """A release that doesn't start, one that takes too long, one that is interrupted; and there is one at a time."""
    with (
        Manager() as manager,
        upgrades(tmp_path, manager) as daemon,
        Load(daemon.server.address, ["/health"], 2, pause=0.01) as load,
    ):
        server, old = daemon.server, daemon.server.pid
        until(lambda: manager.messages, "it is ready")
        (tmp_path / "broken").touch()
        status, output = daemon.run()
        assert status == 1
        assert "this release is broken" in output
        assert f"went back: hvd {__version__} (master {old}) serves on" in output
        (tmp_path / "broken").unlink()
        (tmp_path / "slow").touch()
        with daemon.begin("--wait", str(4 * PATIENCE * crowding())) as slow:
            assert slow.stdout
            slow.stdout.readline()
            assert daemon.run() == (
                5,
                "hvd: no upgrade: another `hvd upgrade` of this daemon is under way: wait for its end\n",
            )
            slow.stdout.close()  # its terminal is gone, and it goes back all the same
            slow.wait(100 * PATIENCE)
        assert slow.returncode == 1
        assert daemon.master() == old
        with daemon.begin() as interrupted:
            assert interrupted.stdout
            interrupted.stdout.readline()
            interrupted.send_signal(signal.SIGINT)
            output, _ = interrupted.communicate(timeout=60 * PATIENCE)
        assert interrupted.returncode == 130
        assert f"interrupted; went back: hvd {__version__} (master {old}) serves on" in output
        assert daemon.master() == old
        with stopped(old):
            assert daemon.run() == (5, f"hvd: no upgrade: master {old} is stopped: kill -CONT {old}\n")
        server.wait_ready()
        heard = manager.heard()
        assert heard[0] == "READY=1"
        assert {*heard[1:]} <= {f"MAINPID={old}"}, "none of them has led"
    assert load.tally.failed.total() == 0, load.tally.failed
