"""A worker that dies at work leaves one line in the log, one post-mortem, and exact counts."""

import math
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hvd.core.totals import Heads
from hvd.metrics.events import Event, read_events
from hvd.read.reading import BlockReader
from tests.support.http import Asking, Response
from tests.support.outage import APP
from tests.support.server import Server
from tests.support.waiting import PATIENCE, until

SYNC = {"worker_class": "sync", "threads": 1}
GTHREAD = {"worker_class": "gthread", "threads": 4}


class Daemon(Server):
    """A daemon whose block is looked at from outside, so that looking is no request."""

    seen: BlockReader

    def heads(self) -> Heads:
        heads = self.seen.totals().heads
        assert heads.started == heads.finished + heads.in_flight + heads.aborted
        return heads

    def idle_heads(self) -> Heads:
        """The heads once nothing is in flight: a request is, until after its client has read the last byte."""
        self.wait_idle()
        return self.heads()

    def aborted(self) -> dict[str, int]:
        """hvd_http_requests_aborted_total by cause, of those that there were."""
        found = self.samples("hvd_http_requests_aborted_total", "cause")
        return {cause: number for (cause,), number in found.items() if number}

    def exits(self) -> dict[str, int]:
        """hvd_process_exits_total of workers, by cause, of those that there were."""
        found = self.samples("hvd_process_exits_total", "kind", "cause")
        return {cause: number for (kind, cause), number in found.items() if kind == "worker" and number}

    def deaths(self) -> list[str]:
        """Lines of the log that tell with what in progress a worker died."""
        return [line for line in self.log.splitlines() if "hvd: worker (pid:" in line and ") died (" in line]


@contextmanager
def daemon(folder: Path, **settings: object) -> Iterator[Daemon]:
    with Daemon(folder, **{"interval": 0.2, "workers": 2, **settings}) as server, server.view() as server.seen:
        yield server


def entry_of(server: Daemon, pid: int) -> dict[str, Any]:
    """The post-mortem of that process, once it is there; the only one."""

    def find() -> list[dict[str, Any]]:
        return [entry for entry in server.seen.post_mortems() if entry["pid"] == pid]

    (entry,) = until(find, f"a post-mortem of {pid}; log:\n{server.log}")
    assert [found for found in server.snapshot()["post_mortems"] if found["pid"] == pid] == [entry]
    until(lambda: [line for line in server.deaths() if f"(pid:{pid})" in line], "the log says so")  # after the entry
    assert len([line for line in server.deaths() if f"(pid:{pid})" in line]) == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", entry["time"])
    event = event_of(server, pid)
    assert (event["cause"], event["aborted"]) == (entry["cause"], entry["aborted"])
    return entry


def event_of(server: Daemon, pid: int) -> Event:
    """What is told of that worker's death; like ones come as one, after the first, of whom the last is named."""

    def find() -> list[Event]:
        with server.opened() as block:
            return [event for event in read_events(block) if (event["kind"], event.get("pid")) == ("death", pid)]

    (event,) = until(find, f"the death of {pid} is told")
    return event


def only_worker(server: Daemon) -> int:
    (pid,) = until(lambda: server.pids("worker"), "a worker")
    return pid


def wait_replaced(server: Daemon, pid: int) -> None:
    """Until another worker serves in its place."""
    until(lambda: server.pids("worker") and pid not in server.pids("worker"), f"another worker than {pid}")
    until(server.is_healthy, "it serves")


def stands_in_app(request: dict[str, Any], function: str) -> bool:
    """Whether its stack has a frame of this function of the tests' app."""
    frames = [frame for frame in request["stack"] if frame["file"] == str(APP)]
    return any(frame["function"].rpartition(".")[2] == function and frame["line"] > 0 for frame in frames)


@pytest.mark.parametrize("cause", ["SIGKILL", "exit 7"])
def test_a_worker_that_ends_with_requests_in_progress(tmp_path: Path, cause: str) -> None:
    """Each is in the entry with method, path without query, age, and where it was stuck; the one that was done is not.

    SIGKILL is what the kernel sends where memory is short; a library may end the process.
    """
    with daemon(tmp_path, workers=1, watch_slow_request_seconds=0.3, **GTHREAD) as server:
        pid = only_worker(server)
        started = time.monotonic()
        paths = ("/slow?s=60&token=secret", "/slow?s=60#secret", "/stream?n=600&s=0.1")
        asking = [Asking(server.address, path) for path in paths]
        assert server.get("/hello").status == 200
        until(lambda: sorted(server.in_progress()) == ["/slow", "/slow", "/stream"], "only they are in progress")
        until(
            lambda: all(request.age >= 0.3 for slot in server.seen.totals().slots for request in slot.busy),
            "the age of a request is not about nothing",
        )
        until(lambda: server.log.count(" s by now, at ") == 3, "their places are known")
        if cause == "SIGKILL":
            os.kill(pid, signal.SIGKILL)
        else:
            asking.append(Asking(server.address, "/die/exit"))
        entry = entry_of(server, pid)
        oldest = time.monotonic() - started
        for one in asking:
            assert isinstance(one.wait(), ConnectionError)
        signum, status = ("SIGKILL", None) if cause == "SIGKILL" else (None, 7)
        expected = {"cause": cause, "signal": signum, "exit_status": status, "kind": "worker", "aborted": len(asking)}
        assert expected.items() <= entry.items()
        requests = sorted(entry["requests"], key=lambda request: str(request["path"]))
        if cause == "exit 7":
            assert requests.pop(0)["path"] == "/die/exit"
        shown = [(request["method"], request["path"]) for request in requests]
        assert shown == [("GET", "/slow"), ("GET", "/slow"), ("GET", "/stream")]
        assert all(0.3 <= request["age_seconds"] <= oldest for request in requests)
        for request in requests:
            assert stands_in_app(request, "chunks" if request["path"] == "/stream" else "on_get"), request
        (line,) = server.deaths()
        assert f" died ({cause}) with {len(asking)} requests in progress: " in line
        assert len(re.findall(rf"GET /\w+ \(\d+\.\d s\) at {APP}:\d+ [\w.]+", line)) == 3, line
        assert "secret" not in server.log

        wait_replaced(server, pid)
        assert server.aborted() == {cause: len(asking)}
        assert server.exits() == {cause: 1}
        assert server.counted()["/stream", 200] == 1, "its first bytes were on their way"
        assert ("/slow", 200) not in server.counted()
        assert server.idle_heads().aborted == len(asking)


def test_a_long_path_is_kept_as_far_as_it_fits(tmp_path: Path) -> None:
    """64 bytes of method and path, not of UTF-8; control characters reach the log escaped."""
    with daemon(tmp_path, workers=1, **GTHREAD) as server:
        pid = only_worker(server)
        stuck = Asking(server.address, "/slow/%0A%1B[31m%FF" + "y" * 200 + "?s=60")
        until(lambda: [path[:5] for path in server.in_progress()] == ["/slow"], "only it is in progress")
        os.kill(pid, signal.SIGKILL)
        entry = entry_of(server, pid)
        assert isinstance(stuck.wait(), ConnectionError)
        (request,) = entry["requests"]
        assert request["path"] == "/slow/\n\x1b[31m�" + "y" * (64 - len("GET /slow/..[31m."))
        (line,) = server.deaths()
        assert "GET /slow/\\n\\x1b[31m\\ufffdyy" in line
        wait_replaced(server, pid)


@pytest.mark.parametrize(
    ("settings", "path", "signum"),
    [(SYNC, "/slow?s=60", None), (SYNC, "/stream?n=10000&s=0.05", None), (GTHREAD, "/hold?s=60", "SIGKILL")],
    ids=["sync", "sync, in a stream", "gthread"],
)
def test_a_worker_that_gunicorn_ends_for_its_silence(
    tmp_path: Path, settings: dict[str, object], path: str, signum: str | None
) -> None:
    """The cause is the timeout, however gunicorn had to bring the end about; the request took at least that long."""
    seconds = math.ceil(PATIENCE)  # an idle worker, too, has to be heard in that time
    with daemon(tmp_path, timeout=seconds, **settings) as server:
        asking = Asking(server.address, path)
        slow = path.partition("?")[0]
        (pid,) = until(
            lambda: [
                slot.slot.pid
                for slot in server.seen.totals().slots
                if f"GET {slow}" in [entry.text for entry in slot.busy]
            ],
            "a worker serves it",
        )
        entry = entry_of(server, pid)
        outcome = asking.wait()
        assert isinstance(outcome, OSError) or outcome.status == 500
        assert (entry["cause"], entry["aborted"]) == ("timeout", 1)
        assert entry["signal"] in (signum, "SIGKILL"), "which comes to one that is slow to end, too"
        (request,) = entry["requests"]
        assert (request["method"], request["path"]) == ("GET", slow)
        assert seconds <= request["age_seconds"] < 30 * PATIENCE
        assert stands_in_app(request, "chunks" if slow == "/stream" else "on_get"), request
        wait_replaced(server, pid)
        assert server.aborted() == {"timeout": 1}
        assert server.exits() == {"timeout": 1}
        assert server.idle_heads().aborted == 1
        assert len(server.deaths()) == 1


@pytest.fixture(scope="module")
def by_class(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Daemon]]:
    """A daemon of each worker class, for the tests that have their workers kill themselves."""
    with (
        daemon(tmp_path_factory.mktemp("gthread"), workers=1, **GTHREAD) as gthread,
        daemon(tmp_path_factory.mktemp("sync"), workers=1, **SYNC) as sync,
    ):
        yield {"gthread": gthread, "sync": sync}


@pytest.mark.parametrize(
    ("worker_class", "how", "cause"),
    [
        ("gthread", "kill", "SIGKILL"),
        ("gthread", "segv", "SIGSEGV"),
        ("gthread", "exit", "exit 7"),
        ("gthread", "sysexit", "exit 5"),
        ("gthread", "base", "exit 1"),
        ("sync", "kill", "SIGKILL"),
        ("sync", "segv", "SIGSEGV"),
        ("sync", "exit", "exit 7"),
    ],
)
def test_a_request_that_kills_its_own_process(
    by_class: dict[str, Daemon], worker_class: str, how: str, cause: str
) -> None:
    """It is the one in the entry, with the signal or the status with which the process ended."""
    server = by_class[worker_class]
    pid, aborted = only_worker(server), server.aborted()
    before = server.idle_heads()
    assert isinstance(Asking(server.address, f"/die/{how}?why=secret").wait(), OSError)
    entry = entry_of(server, pid)
    wait_replaced(server, pid)
    assert entry["cause"] == cause
    assert entry["signal"] == (cause if cause.startswith("SIG") else None)
    assert entry["exit_status"] == (int(cause.removeprefix("exit ")) if cause.startswith("exit") else None)
    (request,) = entry["requests"]
    assert (request["method"], request["path"]) == ("GET", f"/die/{how}")
    assert stands_in_app(request, "on_get") == (how == "segv"), "nobody else could look"
    assert server.heads().aborted == before.aborted + 1
    assert server.aborted() == {**aborted, cause: aborted.get(cause, 0) + 1}
    assert not [answer for answer in server.counted() if answer[0] == "/die/{how}" and worker_class == "gthread"]


@pytest.mark.parametrize("how", ["sysexit", "base"])
def test_a_sync_worker_survives_what_its_request_raises(by_class: dict[str, Daemon], how: str) -> None:
    """gunicorn answers 500 and goes on: that is a response like any other, and nothing stays in flight."""
    server = by_class["sync"]
    pid, before = only_worker(server), server.idle_heads()
    deaths = len(server.deaths())
    counted = server.counted().get(("/die/{how}", 500), 0)
    outcome = Asking(server.address, f"/die/{how}").wait()
    assert isinstance(outcome, Response)
    assert outcome.status == 500
    assert server.idle_heads().aborted == before.aborted
    assert only_worker(server) == pid
    assert server.counted()["/die/{how}", 500] == counted + 1
    assert len(server.deaths()) == deaths
