"""Every counter of /metrics, scraped all the time: none falls, none vanishes, whoever is killed or replaced."""

import os
import signal
import threading
import time
from pathlib import Path

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.slots import Slots
from hvd.metrics.table import METRICS
from tests.support.server import Server, upgradable
from tests.support.waiting import until
from tests.support.ws import RawWebSocket

COUNTED = tuple(metric.name for metric in METRICS if metric.kind in ("counter", "histogram"))
CPU = "hvd_process_cpu_seconds_total"

Series = tuple[str, frozenset[tuple[str, str]]]


class Scraper:
    """Scrapes until told to stop; notes every series of a counter that fell or vanished, and at which number."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.last: dict[Series, float] = {}
        self.faults: list[str] = []
        self.scrapes = 0
        self.now = ""  # what is being done to the daemon

    def _run(self) -> None:
        while not self._is_over.is_set():
            try:
                found = self._server.metrics()
            except (OSError, IndexError):  # nobody listens for a moment
                time.sleep(0.01)
                continue
            counters = {series: value for series, value in found.items() if series[0].startswith(COUNTED)}
            for series, value in self.last.items():
                if counters.get(series, -1.0) < value:
                    self.faults.append(f"{self.now}: {series} from {value} to {counters.get(series)}")
            self.last = {**self.last, **counters}
            self.scrapes += 1

    def wait(self, count: int = 3) -> None:
        """Until so many more scrapes are done."""
        enough = self.scrapes + count
        until(lambda: self.scrapes >= enough, f"{count} scrapes", 20)

    def cpu(self, kind: str) -> float:
        """CPU seconds of all slots of a kind, as scraped last."""
        return sum(value for (name, labels), value in self.last.items() if name == CPU and ("kind", kind) in labels)

    def __enter__(self) -> "Scraper":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()


def pids(block: Block, kind: int) -> set[int]:
    return {slot.pid for slot in Slots(block).taken() if slot.kind == kind and slot.pid and slot.is_alive()}


def kill_newest_aggregator(block: Block, scraper: Scraper) -> None:
    """And wait until another one has published."""
    slots = [slot for slot in Slots(block).taken() if slot.kind == layout.KIND_AGGREGATOR]
    newest = max(slots, key=lambda slot: slot.taken_ns)
    os.kill(newest.pid, signal.SIGKILL)
    until(lambda: newest.pid not in pids(block, layout.KIND_AGGREGATOR), "it is gone")
    until(lambda: len(pids(block, layout.KIND_AGGREGATOR)) == len(slots), "another one is there", 20)
    scraper.wait()


def test_no_counter_ever_falls_or_vanishes(tmp_path: Path) -> None:
    """Whoever is killed: aggregators, workers, the master; at reloads, at an upgrade, and when that is given up."""
    bind = f"unix:{tmp_path}/s"
    server = Server(tmp_path, bind=bind, workers=2, threads=2, interval=0.1)
    with upgradable(server), server.opened() as block:
        scraper = Scraper(server)
        for path in ("/hello", "/nothing", "/burn?s=0.3"):
            server.get(path)
        with scraper, RawWebSocket(server.address) as client:
            scraper.wait()
            for now, disturb in {
                "kill the aggregator": lambda: kill_newest_aggregator(block, scraper),
                "reload": server.reload,
                "reload again": server.reload,
                "kill a worker": lambda: os.kill(min(pids(block, layout.KIND_WORKER)), signal.SIGKILL),
                "kill the next aggregator": lambda: kill_newest_aggregator(block, scraper),
            }.items():
                scraper.now = now
                disturb()
                scraper.wait()
            client.close()

            scraper.now = "upgrade"
            server.signal(signal.SIGUSR2)
            until(lambda: len(pids(block, layout.KIND_AGGREGATOR)) == 2, "both have an aggregator", 30)
            until(lambda: len(pids(block, layout.KIND_WORKER)) == 4, "both have workers", 30)
            scraper.wait()
            scraper.now = "kill the newer aggregator"
            kill_newest_aggregator(block, scraper)
            scraper.now = "give the upgrade up"
            (new,) = set(block.masters()) - {server.pid}
            os.kill(new, signal.SIGTERM)
            until(lambda: block.masters() == [server.pid], "the new master is gone", 30)
            scraper.wait()

            scraper.now = "kill the master"
            used = scraper.cpu("worker")
            server.kill_master()
            with Server(tmp_path, bind=bind, instance=server.instance, workers=2, threads=2, interval=0.1):
                scraper.wait(10)
                assert scraper.faults == []
                assert scraper.cpu("worker") >= used > 0.25
                assert {name for name, _ in scraper.last} >= {
                    CPU,
                    "hvd_websocket_connections_total",
                    "hvd_process_exits_total",
                }
                slots = [labels for name, labels in scraper.last if name == CPU and ("kind", "worker") in labels]
                assert len(slots) <= 8, "those that come after the dead have their series"
