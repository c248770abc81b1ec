"""What only an aggregator knows, while there is none and when there is another."""

import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path

from tests.support.server import Server
from tests.support.waiting import until
from tests.support.ws import RawWebSocket


def test_figures_stay_with_their_age_and_nothing_of_the_dead_is_shown(tmp_path: Path) -> None:
    """Memory of before, growing older; no client and no process of the dead aggregator, nor by its successor."""
    with Server(tmp_path, interval=0.2) as server, ExitStack() as clients:
        for _ in range(3):
            clients.enter_context(RawWebSocket(server.address))
        until(lambda: server.snapshot()["websocket_clients"] == 3, "the clients are counted")
        [aggregator] = server.pids("aggregator")
        server.signal(signal.SIGSTOP)
        os.kill(aggregator, signal.SIGKILL)
        away = until(lambda: (found := server.snapshot())["system_health"] == "degraded" and found, "it is away")
        assert away["memory_usage"] > 10_000_000
        assert away["threads"] > 0
        assert away["websocket_clients"] == away["tasks"] == 0
        assert aggregator not in [process["pid"] for process in away["processes"]]
        until(lambda: server.snapshot()["observed_age_seconds"] > away["observed_age_seconds"] + 0.3, "it grows older")
        server.signal(signal.SIGCONT)
        reads = []
        until(
            lambda: reads.append(server.snapshot()) or reads[-1]["system_health"] == "healthy", "another one is there"
        )
        assert {read["websocket_clients"] for read in reads} == {0}
        assert aggregator not in [process["pid"] for read in reads for process in read["processes"]]
        until(lambda: server.snapshot()["observed_age_seconds"] < 1, "and goes on")


def test_rates_since_start_are_those_of_the_totals(tmp_path: Path) -> None:
    """After a takeover the totals are older than the daemon."""
    with Server(tmp_path, interval=0.2) as server:
        for _ in range(200):
            server.get("/hello")
        killed = time.monotonic()
        server.kill_master()
        with Server(tmp_path, instance=server.instance, interval=0.2) as successor:
            snapshot = successor.snapshot()
            assert snapshot["uptime_seconds"] < time.monotonic() - killed
            ages = snapshot["http_requests"] / snapshot["requests_per_second_since_start"]
            assert ages > snapshot["uptime_seconds"] + 0.1
