"""What is said of the daemon's processes agrees with the processes themselves."""

import os
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from hvd.read.reading import BlockReader
from tests.support.server import Server
from tests.support.waiting import until
from tests.support.ws import RawWebSocket

MB = 1024 * 1024
INTERVAL = 0.5
BURNT = 1.5  # s

Json = Mapping[str, Any]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, as psutil tells it."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def proportional(pid: int) -> int:
    return int(psutil.Process(pid).memory_full_info().pss)


def worker(snapshot: Json, pid: int) -> Json:
    """What a snapshot says of the worker with this pid."""
    found: Json = next(each for each in snapshot["workers"] if each["pid"] == pid)
    return found


def next_observation(view: BlockReader, after: int = 0) -> Json:
    """What the aggregator publishes next: later than `after`, a monotonic time in ns, or than now."""
    after = after or time.monotonic_ns()

    def published() -> Json | None:
        page = view.companions().observation()
        return page if page and page["monotonic_ns"] > after else None

    page = until(published, "the aggregator publishes", 15, pause=0.01)
    assert page is not None
    return page


def next_memory(view: BlockReader) -> None:
    """Wait for figures of memory that were read from now on: a tick shows what was read last."""
    now = time.monotonic_ns()
    until(lambda: next_observation(view)["memory_ns"] > now, "memory is read", 15)


def of_process(page: Json, pid: int) -> Json:
    found: Json = next(each for each in page["processes"] if each["pid"] == pid)
    return found


def burn(server: Server, view: BlockReader) -> tuple[int, list[Json], list[Json], dict[int, float], float] | None:
    """BURNT s of CPU time in a worker -> its pid, what was published and what snapshots said meanwhile, each process's
    CPU time after it, and what all used from the first page to the last; None if a page was missed.
    """
    pids = [process.pid for process in server.processes()]
    pages = [next_observation(view)]
    before = {pid: cpu_seconds(pid) for pid in pids}
    answers: list[Any] = []
    burner = threading.Thread(target=lambda: answers.append(server.get(f"/burn?s={BURNT}").json()))
    burner.start()
    snapshots = []
    while burner.is_alive():
        pages.append(next_observation(view, pages[-1]["monotonic_ns"]))
        snapshots.append(server.snapshot())
    burner.join()
    after = {pid: cpu_seconds(pid) for pid in pids}
    for _ in range(2):  # the first may have been sampled before
        pages.append(next_observation(view, pages[-1]["monotonic_ns"]))
    total = sum(cpu_seconds(pid) for pid in pids) - sum(before.values())
    busy = answers[0]["pid"]
    assert after[busy] - before[busy] > BURNT * 0.95
    seconds = (pages[-1]["monotonic_ns"] - pages[0]["monotonic_ns"]) / 1e9
    is_whole = sum(page["interval_seconds"] for page in pages[1:]) > seconds - 0.1
    return (busy, pages, snapshots, after, total) if is_whole else None


def test_cpu_usage_is_what_the_processes_used(tmp_path: Path) -> None:
    """CPU burnt in a worker shows in cpu_usage, in that worker's cpu_percent and in no other's, and in right amount."""
    with Server(tmp_path, workers=2, threads=2, interval=INTERVAL) as server, server.view() as view:
        watched = until(lambda: burn(server, view), "every page of a while was seen", 60)
        assert watched
        busy, pages, snapshots, own_after, total = watched

        shown = sum(page["cpu_usage"] * page["interval_seconds"] / 100 for page in pages[1:])
        assert BURNT * 0.95 < shown < total * 1.1 + 0.1, (shown, total)
        last = of_process(pages[-1], busy)["cpu_seconds"]
        assert own_after[busy] - 1e-6 <= last <= cpu_seconds(busy) + 1e-6

        peak = max(pages, key=lambda page: page["cpu_usage"])
        rest = [each["cpu_percent"] for each in peak["processes"] if each["pid"] != busy]
        assert of_process(peak, busy)["cpu_percent"] > 2 * max(rest)
        assert peak["cpu_usage"] == pytest.approx(sum(each["cpu_percent"] for each in peak["processes"]), abs=0.01)

        seen = max(snapshots, key=lambda snapshot: float(snapshot["cpu_usage"]))
        assert worker(seen, busy)["cpu_percent"] == max(each["cpu_percent"] for each in seen["workers"])
        assert worker(seen, busy)["cpu_percent"] <= seen["cpu_usage"] + 0.01

        labels = frozenset({("kind", "worker"), ("slot", str(worker(seen, busy)["slot"]))})
        counted = server.metrics()["hvd_process_cpu_seconds_total", labels]
        assert own_after[busy] - 1e-6 <= counted <= cpu_seconds(busy) + 1e-6


def test_an_idle_daemon_uses_no_cpu(tmp_path: Path) -> None:
    """cpu_usage is a measurement: with nothing to do it is near zero."""
    with Server(tmp_path, workers=2, threads=1, interval=INTERVAL) as server, server.view() as view:
        next_observation(view)
        pages = [next_observation(view) for _ in range(3)]
        assert min(page["cpu_usage"] for page in pages) < 10


def test_allocated_memory_shows(tmp_path: Path) -> None:
    """100 MB kept by a worker raise memory_usage and that worker's memory_bytes by 100 MB, within 10 %."""
    with Server(tmp_path, workers=2, threads=1, interval=0.2) as server, server.view() as view:
        for _ in range(20):
            server.get("/hello")
        next_memory(view)
        before = server.snapshot()
        busy = server.get("/allocate?mb=100").json()["pid"]
        next_memory(view)
        after = server.snapshot()
        assert 90 * MB < after["memory_usage"] - before["memory_usage"] < 110 * MB
        assert 90 * MB < worker(after, busy)["memory_bytes"] - worker(before, busy)["memory_bytes"] < 110 * MB
        for each in after["workers"]:
            assert each["memory_bytes"] == pytest.approx(proportional(each["pid"]), abs=3 * MB)
            if each["pid"] != busy:
                assert abs(each["memory_bytes"] - worker(before, each["pid"])["memory_bytes"]) < 10 * MB


def test_shared_pages_count_once(tmp_path: Path) -> None:
    """memory_usage is the processes' proportional sets, far below the sum of what each has resident."""
    with Server(tmp_path, workers=4, threads=1, interval=0.2) as server, server.view() as view:
        next_memory(view)
        page = next_observation(view)
        processes = server.processes()
        assert {each["pid"] for each in page["processes"]} == {process.pid for process in processes}
        proportional_sum = sum(proportional(process.pid) for process in processes)
        resident_sum = sum(process.memory_info().rss for process in processes)
        assert page["memory_usage"] == pytest.approx(proportional_sum, rel=0.1)
        assert page["memory_usage"] < 0.7 * resident_sum
        assert server.snapshot()["memory_usage"] == pytest.approx(proportional_sum, rel=0.1)


def test_threads_started_by_a_worker_show(tmp_path: Path) -> None:
    """Seven threads more raise `threads` and `goroutines` by seven; `threads` is what psutil counts."""
    with Server(tmp_path, workers=2, threads=1, interval=0.2) as server, server.view() as view:

        def every_pool_has_started() -> bool:
            server.get("/hello")
            return all(psutil.Process(pid).num_threads() == 2 for pid in server.pids("worker"))

        until(every_pool_has_started, "each worker has its main thread and one of its pool")
        next_observation(view)
        before = server.snapshot()
        busy = server.get("/threads?n=7").json()["pid"]
        next_observation(view)
        after = server.snapshot()
        assert after["threads"] == before["threads"] + 7
        assert after["goroutines"] == before["goroutines"] + 7
        assert worker(after, busy)["threads"] == worker(before, busy)["threads"] + 7 == 9
        assert after["threads"] == sum(process.num_threads() for process in server.processes())


def test_goroutines_are_threads_and_tasks(tmp_path: Path) -> None:
    """goroutines = threads + tasks; the hub's tasks are its own, a WebSocket client costs none."""
    with Server(tmp_path, workers=2, threads=1, interval=0.2) as server, server.view() as view, ExitStack() as clients:
        next_observation(view)
        alone = server.snapshot()
        assert alone["tasks"] > 0
        assert alone["goroutines"] == alone["threads"] + alone["tasks"]
        for _ in range(5):
            clients.enter_context(RawWebSocket(server.address))
        until(lambda: server.snapshot()["websocket_clients"] == 5, "five clients are counted")
        crowded = server.snapshot()
        assert crowded["goroutines"] == crowded["threads"] + crowded["tasks"]
        assert crowded["tasks"] == alone["tasks"]


def test_a_killed_worker_disappears_at_the_next_tick(tmp_path: Path) -> None:
    """What is published after a worker's death names it neither in `processes` nor in hvd_process_*."""
    with Server(tmp_path, workers=2, threads=1, interval=INTERVAL) as server, server.view() as view:
        dead, alive = server.pids("worker")
        assert {dead, alive} <= {each["pid"] for each in next_observation(view)["processes"]}
        os.kill(dead, signal.SIGKILL)
        until(lambda: not is_running(dead), "the killed worker is dead", pause=0.001)
        page = next_observation(view)
        pids = {each["pid"] for each in page["processes"]}
        assert dead not in pids
        assert alive in pids
        named = {dict(labels)["slot"] for name, labels in server.metrics() if name == "hvd_process_threads"}
        assert named == {str(each["slot"]) for each in page["processes"]}
        assert dead not in [each["pid"] for each in server.snapshot()["processes"]]
        until(lambda: len(server.pids("worker")) == 2, "another worker is there")
        named_later = {each["pid"] for each in next_observation(view)["processes"]}
        assert named_later == {process.pid for process in server.processes()}


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_uptime_goes_on_through_reloads_and_deaths(tmp_path: Path) -> None:
    """uptime_seconds goes as the clock goes, whatever happens to workers and aggregator."""
    with Server(tmp_path, workers=2, threads=1, interval=0.2) as server:
        before, first, after = read_uptime(server)
        server.reload()
        for kind in ("worker", "aggregator"):
            pid = server.pids(kind)[0]
            os.kill(pid, signal.SIGKILL)
            until(lambda kind=kind, pid=pid: server.pids(kind) and pid not in server.pids(kind), f"a new {kind}")
        server.wait_ready()
        later, uptime, latest = read_uptime(server)
        assert later - after - 0.01 < uptime - first < latest - before + 0.01


def read_uptime(server: Server) -> tuple[float, float, float]:
    """`uptime_seconds`, between the clock before and the clock after it was read."""
    return time.monotonic(), server.snapshot()["uptime_seconds"], time.monotonic()


def test_an_idle_aggregator_is_cheap(tmp_path: Path) -> None:
    """At the usual interval of 2 s, with 2 workers: below 2 % of a core and below 50 MB resident."""
    seconds = 12.0
    with Server(tmp_path, workers=2) as server, server.view() as view:
        (pid,) = server.pids("aggregator")
        next_observation(view)
        began, before = time.monotonic(), cpu_seconds(pid)
        until(lambda: time.monotonic() - began > seconds, "time passes", seconds + 5, pause=0.5)
        share = (cpu_seconds(pid) - before) / (time.monotonic() - began)
        resident = psutil.Process(pid).memory_info().rss
        print(f"aggregator, idle: {share:.2%} of a core, {resident / MB:.1f} MB resident")
        assert view.vitals().health.reasons == []
        assert share < 0.02
        assert resident < 50 * MB
