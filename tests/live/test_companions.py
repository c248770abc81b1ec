"""Processes that die, stand still or can't start; blocks that are not ours; every way to stop and to reload."""

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil
import pytest

from hvd.core import layout
from hvd.core.acquire import acquire
from hvd.core.durations import TIMED_CELLS
from hvd.core.layout import Layout
from tests.support.http import Load, connect
from tests.support.server import ROOT, SHM, Server
from tests.support.waiting import PATIENCE, until
from tests.support.websocket import close_code
from tests.support.ws import RawWebSocket

INTERVAL = 0.2  # s
GOING_AWAY = 1001


class LightLoad(Load):
    """Two clients that ask all the time, and one that polls /health, until left."""

    def __init__(self, server: Server) -> None:
        super().__init__(server.address, ["/hello", "/items/1"], 2)
        self._server = server
        self.health: list[tuple[int, str]] = []
        self.failures: list[str] = []
        self._poller = threading.Thread(target=self._poll)

    def _poll(self) -> None:
        while not self._over.wait(0.01):
            try:
                response = self._server.get("/health")
                self.health.append((response.status, response.json()["status"]))
            except OSError as error:
                self.failures.append(repr(error))

    def __enter__(self) -> Self:
        self._poller.start()
        return super().__enter__()

    def __exit__(self, *exc: object) -> None:
        try:
            if exc[0] is None:
                until(lambda: len(self.health) > 50, "enough was asked")
        finally:
            super().__exit__(*exc)
            self._poller.join()

    def assert_unharmed(self) -> None:
        """Every request was answered, and rightly."""
        assert not self.failures
        assert not self.tally.failed
        assert {status for _, status in self.tally.received} == {200}
        assert {status for status, _ in self.health} == {200}


def try_websocket(server: Server) -> tuple[int, str]:
    """A connection: its status, and the type of its first message; for a refusal its Retry-After."""
    with RawWebSocket(server.address) as client:
        if client.status == 101:
            return 101, str(client.message()["type"])
        lines = [line for line in client.head.splitlines() if line.lower().startswith("retry-after:")]
        return client.status, lines[0].partition(":")[2].strip() if lines else ""


# ---- the aggregator


@pytest.mark.parametrize(
    ("signum", "seconds"), [(signal.SIGKILL, 2.5), (signal.SIGSTOP, 6.0)], ids=["killed", "stopped"]
)
def test_an_aggregator_is_replaced_while_http_goes_on(tmp_path: Path, signum: signal.Signals, seconds: float) -> None:
    """No request fails, /health says degraded meanwhile, clients that reconnect get messages."""
    with Server(tmp_path, workers=2, threads=2, interval=INTERVAL) as server, LightLoad(server) as traffic:
        (first,) = server.pids("aggregator")
        with RawWebSocket(server.address) as client:
            client.message()
            until(lambda: len(traffic.health) > 5, "polling has begun")
            start = time.monotonic()
            os.kill(first, signum)
            until(lambda: "degraded" in {status for _, status in traffic.health}, "/health says degraded", seconds)
            tried = [try_websocket(server)]
            others = until(lambda: set(server.pids("aggregator")) - {first}, "there is another aggregator", seconds)
            server.wait_ready(seconds)
            assert time.monotonic() - start < (seconds + 1) * PATIENCE
            assert close_code(client) is None, "its connection ended with the aggregator"
        tried += [try_websocket(server) for _ in range(3)]
        # while it was away: a client waits for the next one, or is told when to come again
        assert set(tried[:1]) <= {(101, "metrics"), (503, "2")}
        assert set(tried[1:]) == {(101, "metrics")}
        assert not psutil.pid_exists(first)
        assert set(server.pids("aggregator")) == others
        assert server.sample("hvd_process_exits_total", kind="aggregator", cause="SIGKILL") == 1
        until(lambda: traffic.health[-1][1] == "healthy", "polling says healthy again")
    traffic.assert_unharmed()


SHIM = """\
import os, sys
if "hvd.agg" in sys.orig_argv:
    with open({starts!r}, "a") as file:
        file.write("x")
    if os.path.exists({broken!r}):
        os._exit(3)
"""


def test_an_aggregator_that_cannot_start_hurts_nobody(tmp_path: Path) -> None:
    """It is tried again with growing pauses; HTTP works, /ws says when to come again; and all is well once it can."""
    starts, broken = tmp_path / "starts", tmp_path / "broken"
    broken.touch()
    (tmp_path / "sitecustomize.py").write_text(SHIM.format(starts=str(starts), broken=str(broken)))
    environ = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    server = Server(tmp_path, workers=2, threads=2, interval=INTERVAL, environ=environ)
    with server.start(ready=False), contextlib.ExitStack() as stack:
        until(lambda: "Listening at" in server.log, "it listens")
        traffic = stack.enter_context(LightLoad(server))
        until(lambda: starts.exists() and len(starts.read_text()) >= 3, "it was tried three times")
        assert {status for _, status in traffic.health} <= {"starting", "degraded"}
        assert try_websocket(server) == (503, "2"), "at once, or when the time to wait for a first hub is over"
        assert psutil.Process(server.pid).cpu_percent(1) < 50
        pauses = (0.5, 1, 2, 5, 5, 5, 5)[: len(starts.read_text()) - 1]
        assert time.time() - psutil.Process(server.pid).create_time() > sum(pauses)
        broken.unlink()
        server.wait_ready(15)
        assert try_websocket(server) == (101, "metrics")
    traffic.assert_unharmed()
    ends = [line for line in server.alarms if "aggregator" in line]
    assert len(ends) == len(server.alarms) == len(starts.read_text()) - 1, "one line for each"
    assert all("exit 3" in line for line in ends)


# ---- the master


@pytest.mark.parametrize(
    ("worker_class", "case"),
    [
        ("gthread", "idle"),
        ("sync", "a request is served"),
        ("gthread", "a request is served"),
        ("sync", "the aggregator stands still"),
    ],
)
def test_nothing_outlives_a_killed_master_and_the_next_one_goes_on(
    tmp_path: Path, worker_class: str, case: str
) -> None:
    """All processes end within 5 s; a new daemon of that name, started at once, has the totals and a new uptime."""
    with Server(tmp_path, worker_class=worker_class, workers=2, interval=INTERVAL) as server:
        for _ in range(20):
            assert server.get("/hello").status == 200
        with contextlib.ExitStack() as stack:
            client = stack.enter_context(RawWebSocket(server.address))
            client.message()
            if case == "a request is served":
                stack.enter_context(connect(server.address)).sendall(b"GET /slow?s=60 HTTP/1.1\r\nHost: test\r\n\r\n")
            before = server.counted()
            serving = ["/slow"] if case == "a request is served" else []
            until(lambda: server.in_progress() == serving, "nothing else is served")
            if case == "the aggregator stands still":
                os.kill(server.pids("aggregator")[0], signal.SIGSTOP)
            left = server.processes()
            server.kill_master()
            killed = time.monotonic()
            with Server(tmp_path, instance=server.instance, workers=1, interval=INTERVAL) as successor:
                assert not psutil.wait_procs(left, timeout=max(0, killed + 5 * PATIENCE - time.monotonic()))[1]
                after = successor.counted()
                assert after["/hello", 200] == before["/hello", 200] == 20
                assert after["/ws", 101] == 1
                assert successor.snapshot()["uptime_seconds"] < time.monotonic() - killed
                aborted = successor.snapshot()["requests"]["aborted"]
                assert aborted == len(serving)
                until(lambda: successor.snapshot()["requests"]["in_flight"] == 1, "only this very request is left")
                assert try_websocket(successor) == (101, "metrics")
                assert "Taking over" in successor.log


# ---- segments that are not ours


def a_block(path: Path) -> None:
    """A proper one, of a daemon that is gone."""
    block, _ = acquire(path.name, Layout(12, 4, 16, TIMED_CELLS))
    block.release_claim()
    block.file_name.spare.unlink()
    os.close(block.fd)


def with_cell(index: int, change: Callable[[int], int]) -> Callable[[Path], None]:
    """A proper block, but for one cell of its header."""

    def make(path: Path) -> None:
        a_block(path)
        with path.open("r+b") as file:
            file.seek(index * layout.CELL)
            value = change(int.from_bytes(file.read(layout.CELL), "little"))
            file.seek(index * layout.CELL)
            file.write((value % 2**64).to_bytes(layout.CELL, "little"))

    return make


def a_link(path: Path) -> None:
    target = path.with_name(f"{path.name}-target")
    a_block(target)
    path.symlink_to(target)


FOREIGN = {
    "random bytes": lambda path: path.write_bytes(os.urandom(100_000)),
    "nothing": lambda path: path.write_bytes(b""),
    "a few bytes": lambda path: path.write_bytes(b"HVDBLOC"),
    "another magic": with_cell(layout.H_MAGIC, lambda value: value ^ 1),
    "a symbolic link": a_link,
}
"""What is no block of hvd; of one that can't be used see test_block.py, of another user's test_strangers.py."""


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_segment_is_left_alone(tmp_path: Path, kind: str) -> None:
    """The start fails with status 1 and one clear line; not a byte of the segment changes."""
    server = Server(tmp_path, workers=1)
    try:
        FOREIGN[kind](server.block)
        before, content = os.stat(server.block, follow_symlinks=False), server.block.read_bytes()
        status = server.start_in_vain()
        after = os.stat(server.block, follow_symlinks=False)
        assert status == 1
        told = [line for line in server.log.splitlines() if "[INFO]" not in line]
        assert len(told) == 1, server.log
        assert told[0].startswith("hvd: ")
        assert server.block.name in told[0]
        assert "HVD_INSTANCE" in told[0], "it says what to do"
        assert server.block.read_bytes() == content
        same = ("st_ino", "st_size", "st_uid", "st_mode", "st_mtime_ns", "st_nlink")
        assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same]
    finally:
        server.destroy()
        server.block.with_name(f"{server.block.name}-target").unlink(missing_ok=True)


def test_a_port_in_use_ends_the_start_cleanly(tmp_path: Path) -> None:
    """Status 1, and no block or process is left."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = Server(tmp_path, bind=f"127.0.0.1:{taken.getsockname()[1]}", workers=1)
        try:
            assert server.start_in_vain() == 1
            assert "in use" in server.log
            assert "Traceback" not in server.log
            until(lambda: not server.processes(), "no process is left")
            assert not left_of(server)
        finally:
            server.destroy()


# ---- stopping


def left_of(server: Server) -> list[Path]:
    return [path for path in SHM.iterdir() if server.instance in path.name]


@dataclass
class Leaving:
    """Clients of every kind, connected when the daemon is stopped."""

    server: Server
    sockets: list[RawWebSocket] = field(default_factory=list)

    def __enter__(self) -> "Leaving":
        self.sockets = [RawWebSocket(self.server.address) for _ in range(3)]
        for each in self.sockets:
            assert each.message()["type"] == "metrics"
        self._idle = self.server.connection()
        assert self._idle.get("/hello").status == 200
        return self

    def __exit__(self, *exc: object) -> None:
        for each in self.sockets:
            each.close()
        self._idle.close()

    def close_codes(self) -> list[int | None]:
        """What each WebSocket's close frame said, after which the connection ended."""
        return [close_code(each) for each in self.sockets]


@pytest.mark.parametrize("worker_class", ["sync", "gthread"])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda each: each.name)
def test_a_stop_leaves_nothing(tmp_path: Path, worker_class: str, signum: signal.Signals) -> None:
    """Clients are told 1001, the status is 0, no segment or process is left, nothing looks like an error."""
    with Server(tmp_path, worker_class=worker_class, workers=2, interval=INTERVAL, keepalive=1) as server:
        with Leaving(server) as clients:
            server.signal(signum)
            assert clients.close_codes() == [GOING_AWAY] * 3
        assert server.wait() == 0
        until(lambda: not server.processes(), "no process is left")
        assert not left_of(server)
        assert not server.alarms


@pytest.mark.parametrize("worker_class", ["sync", "gthread"])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda each: each.name)
def test_a_stop_lets_a_short_request_end(tmp_path: Path, worker_class: str, signum: signal.Signals) -> None:
    """What takes half a second more gets its answer, quick stop or not."""
    with Server(tmp_path, worker_class=worker_class, workers=1, interval=INTERVAL) as server:
        with connect(server.address) as client:
            gate = tmp_path / "gate"
            client.sendall(b"GET /gate?file=%s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n" % bytes(gate))
            until(lambda: "/gate" in server.in_progress(), "it is served")
            server.signal(signum)
            time.sleep(0.5)
            gate.touch()
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert server.wait() == 0
        assert not server.alarms


IN_A_SESSION = "import os, sys; os.setsid(); os.execv(sys.argv[1], sys.argv[1:])"


@pytest.mark.parametrize("worker_class", ["sync", "gthread"])
def test_ctrl_c_reaches_all_processes_and_ends_them_cleanly(tmp_path: Path, worker_class: str) -> None:
    """SIGINT for the whole process group, twice, as people press it; systemd was told of the start (sd_notify(3))."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify.sock"))
        systemd.settimeout(30 * PATIENCE)
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify.sock")}
        server = Server(tmp_path, worker_class=worker_class, workers=2, interval=INTERVAL, environ=environ)
        server.command = [sys.executable, "-c", IN_A_SESSION, *server.command]
        with server:
            while b"READY=1" not in (told := systemd.recv(4096)):
                assert b"is starting" in told
            with Leaving(server) as clients:
                os.killpg(server.pid, signal.SIGINT)
                os.killpg(server.pid, signal.SIGINT)
                assert clients.close_codes() == [GOING_AWAY] * 3
            assert server.wait() == 0
            until(lambda: not server.processes(), "no process is left")
            assert not left_of(server)
            assert not server.alarms


# ---- reloading


def test_a_reload_takes_what_is_right_and_reports_what_is_wrong(tmp_path: Path) -> None:
    """Broken settings change nothing; the same ones keep the aggregator and its clients; others: test_reload.py."""
    config = tmp_path / "hvd.toml"

    def write(**values: object) -> None:
        config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()))

    write(interval=INTERVAL, workers=2, threads=2)
    with Server(tmp_path, environ={"HVD_CONFIG": str(config)}) as server, RawWebSocket(server.address) as client:
        (aggregator,) = server.pids("aggregator")
        client.message()

        write(interval="fast", workers=0, no_such_thing=1)
        old = set(server.pids("worker"))
        server.signal(signal.SIGHUP)
        until(lambda: "settings in force" in server.log, "the problems are logged")
        for name in ("interval", "workers", "no_such_thing"):
            assert any(name in line for line in server.alarms), name
        until(lambda: len(new := set(server.pids("worker"))) == 2 and not new & old, "as many workers as before", 30)
        assert server.pids("aggregator") == [aggregator]
        assert server.get("/hello").status == 200
        server.wait_ready()

        write(interval=INTERVAL, workers=2, threads=2)
        server.reload()
        assert server.pids("aggregator") == [aggregator]
        for _ in range(3):
            assert client.message()["data"]["raw"]["system_health"] == "healthy"
    wrong = [line for line in server.alarms if "settings in force" not in line]
    assert not wrong
