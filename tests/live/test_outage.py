"""An outage, as an operator lives through it: the workers are stuck, and the daemon says so, with what and where."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import pytest

from tests.support.http import load
from tests.support.outage import APP, LINE, PATH, Stuck, stands_there
from tests.support.server import ROOT, Server
from tests.support.waiting import PATIENCE, until
from tests.support.ws import RawWebSocket

INTERVAL = 0.5
SLOW = 1.0  # s, after which the stack of a request's thread is taken unasked
TOLD = 4.0  # s: all threads have to be busy for 2, and it is told within 2 more
COMMAND = 2.0  # s that a command may take

Json = Mapping[str, Any]


class Listener:
    """A WebSocket client of the admin server in a thread of its own, and what it was told last."""

    def __init__(self, server: Server) -> None:
        self._client = RawWebSocket(server.admin_address)
        self.raws: list[Json] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            while True:
                self.raws.append(self._client.message()["data"]["raw"])
        except OSError:
            return

    @property
    def last(self) -> Json:
        return self.raws[-1] if self.raws else {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._client.sock.shutdown(2)
        self._thread.join()
        self._client.close()


def tells_the_outage(fields: Json, threads: int, *, places: bool = True) -> bool:
    """True of /health, the snapshot and a message that say that all threads are busy, since when, with what, where.

    Without `places` not where: a worker that got no processor for a tick leaves its places out of that message.
    """
    requests = fields.get("longest_requests", [])
    return (
        fields.get("worker_threads_busy") == fields.get("worker_threads") == threads
        and fields["saturated_seconds"] >= 2
        and any(reason.startswith("saturated: ") for reason in fields["reasons"])
        and fields.get("health", fields.get("status")) == "degraded"
        and len(requests) == min(10, threads)
        and all((request["method"], request["path"]) == ("GET", PATH) for request in requests)
        and all(request["age_seconds"] > 1 for request in requests)
        and (not places or all(stands_there(request["stack"]) for request in requests))
    )


def metrics_tell(samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float], threads: int) -> bool:
    """The same of /metrics: what can be divided, and alerted on."""

    def sample(name: str, **labels: str) -> float:
        return samples[name, frozenset(labels.items())]

    return (
        sample("hvd_worker_threads_busy") == sample("hvd_worker_threads") == threads
        and sample("hvd_saturated_seconds") >= 2
        and sample("hvd_longest_request_seconds") >= sample("hvd_saturated_seconds")
        and (sample("hvd_health", status="degraded"), sample("hvd_health", status="healthy")) == (1, 0)
    )


def seconds_until(condition: Callable[[], object], what: str, since: float) -> float:
    until(condition, what, TOLD + 10)
    return time.monotonic() - since


def run(server: Server, *arguments: str, seconds: float = COMMAND) -> tuple[int, str]:
    """A command on the same machine, told nothing but which daemon -> its status, and what it prints, in time.

    What the machine takes to begin one, even one that asks nobody, is not the daemon's matter.
    """
    start = time.monotonic()
    subprocess.run([sys.executable, "-m", "hvd", "--version"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    beginning = time.monotonic() - start
    start = time.monotonic()
    command = [sys.executable, "-m", "hvd", *arguments]
    environ = {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "HVD_INSTANCE": server.instance, "COLUMNS": "160"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30 * PATIENCE, check=False)
    took = time.monotonic() - start
    assert took < seconds * PATIENCE + 2 * beginning, (command, took, beginning)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def commands_tell(server: Server, threads: int) -> None:
    """status, top, list and stacks: how many are busy, for how long, with what, where."""
    place, busy = f"{APP.name}:{LINE}", f"{threads} of {threads} busy for "
    code, text = run(server, "status")
    assert code != 0
    assert all(part in text for part in ("degraded", "saturated: ", busy, f"GET {PATH}", place)), text
    code, text = run(server, "top", "--once")
    assert all(part in text for part in ("degraded", "saturated: ", busy, PATH, place)), text
    _, text = run(server, "list", seconds=COMMAND + 5)  # it waits 5 s for daemons of other tests that are stopped
    assert [line for line in text.splitlines() if server.instance in line and "degraded" in line], text
    code, text = run(server, "stacks")
    assert code == 0
    assert text.count(f"{APP}:{LINE} in ") == text.count(f"GET {PATH} ") == threads, text


@pytest.mark.parametrize(("worker_class", "threads"), [("gthread", 4), ("sync", 1)])
def test_stuck_workers_are_told_from_outside(tmp_path: Path, worker_class: str, threads: int) -> None:
    """All but some threads, then all: with what, since when, where. Nothing looks better for it; and it ends."""
    capacity = 4 * threads
    settings: dict[str, Any] = {"worker_class": worker_class, "interval": INTERVAL, "watch_slow_request_seconds": SLOW}
    settings["timeout"] = 3600  # s: a sync worker that is stuck for gunicorn's 30 would be killed in the midst of this
    with (
        Server(tmp_path, workers=4, threads=threads, **settings) as server,
        Listener(server) as listener,
        Stuck(server, threads) as stuck,
    ):

        def told(path: str) -> Any:
            return server.admin_get(path).json()

        load(server.address, ["/hello"], clients=2, requests=200)
        until(lambda: listener.last.get("health") == "healthy", "it was healthy before")

        most = capacity - max(1, capacity * 3 // 16)
        stuck.hold(most)
        until(lambda: listener.last["worker_threads_busy"] == most, "the busy ones are told")
        assert not [reason for reason in told("/health")["reasons"] if "saturated" in reason], "there are threads left"
        until(lambda: stands_there(listener.last["longest_requests"][0]["stack"]), "and where they stand")

        stuck.hold(capacity)
        since = time.monotonic()
        late = {
            "ws": seconds_until(lambda: tells_the_outage(listener.last, capacity), f"/ws: {listener.last}", since),
            "health": seconds_until(lambda: tells_the_outage(told("/health"), capacity), "/health", since),
            "snapshot": seconds_until(lambda: tells_the_outage(told("/api/v1/snapshot"), capacity), "snapshot", since),
            "metrics": seconds_until(lambda: metrics_tell(server.admin_metrics(), capacity), "/metrics", since),
        }
        assert max(late.values()) < TOLD * PATIENCE, late
        commands_tell(server, capacity)
        nothing_looked_better(listener.raws)

        with RawWebSocket(server.admin_address) as newcomer:
            raw = newcomer.message()["data"]["raw"]
            assert tells_the_outage(raw, capacity, places=False), raw
            until(lambda: tells_the_outage(newcomer.message()["data"]["raw"], capacity), "and where they stand", 5)

        assert set(stuck.release()) == {b"HTTP/1.1 200 OK"}
        until(lambda: told("/health")["status"] == "healthy", "it is over", 5)
        until(lambda: listener.last["health"] == "healthy", "a client hears so", 5)
        assert listener.last["saturated_seconds"] == 0
        assert (told("/health")["longest_requests"], told("/health")["reasons"]) == ([], [])
        assert server.get("/hello").status == 200
    assert not server.alarms


def nothing_looked_better(raws: list[Json]) -> None:
    """From when all were stuck on, p99 with those in progress only grew, and was never below their ages or p99."""
    stuck = [raw for raw in raws if raw["worker_threads_busy"] == raw["worker_threads"]]
    figures = [raw["p99_with_open"] for raw in stuck if raw["saturated_seconds"] >= 1]
    assert len(figures) >= 2
    assert figures == sorted(figures)
    assert all(raw["p99_with_open"] >= raw["p99"] for raw in raws)
    assert all(raw["p99_with_open"] >= 900 for raw in stuck if raw["saturated_seconds"] >= 1 + INTERVAL)
    assert all(raw["health"] != "healthy" for raw in stuck if raw["saturated_seconds"] >= 2)
