"""Metrics that are there before anything has happened, and stay as many while workers come and go."""

import os
import signal
from pathlib import Path

from tests.support.jobs import JobsDaemon, shell
from tests.support.prometheus import Prometheus
from tests.support.server import Server
from tests.support.waiting import until

CRASH = 'hvd_process_exits_total{kind="worker",cause="SIGSEGV"}'
WAIT = 'until [ -e "$0/gate" ]; do sleep 0.02; done'


def test_the_first_crash_is_an_increase(tmp_path: Path) -> None:
    """As a real Prometheus computes it: a series that began with the crash would show none."""
    with Server(tmp_path, workers=2, threads=2, interval=0.5) as server:
        host, port = server.address
        with Prometheus(tmp_path, (str(host), int(port))) as prometheus:
            until(lambda: prometheus.value(CRASH) == 0, "a scrape has seen that nothing has crashed", 30, 0.1)
            os.kill(server.pids("worker")[0], signal.SIGSEGV)
            until(lambda: prometheus.value(CRASH) == 1, "a scrape has seen the crash", 30, 0.1)
            assert float(prometheus.value(f"increase({CRASH}[5m])") or 0) > 0.5


def test_recycled_workers_make_no_new_series(tmp_path: Path) -> None:
    """A new worker takes a free slot: with `max_requests` the series of processes stay as many."""
    with Server(tmp_path, workers=2, threads=2, interval=0.2, max_requests=10) as server:
        seen: set[tuple[str, frozenset[tuple[str, str]]]] = set()

        def recycled() -> int:
            for _ in range(20):
                server.get("/hello")
            seen.update(key for key in server.metrics() if key[0].startswith("hvd_process"))
            return server.sample("hvd_process_exits_total", kind="worker", cause="exit 0")

        until(lambda: recycled() >= 4, "four workers were recycled", 60, 0.1)
        early = set(seen)
        until(lambda: recycled() >= 20, "twenty workers were recycled", 120, 0.1)
        slots = {dict(labels)["slot"] for name, labels in seen if name == "hvd_process_threads"}
        assert len(slots) <= 4 + 4, f"master, aggregator, admin server, and at most twice the workers: {slots}"
        assert len(seen - early) <= 2 * 8, "of a slot that was not taken before"
        assert "pid" not in {label for _, labels in seen for label, _ in labels}


def test_declared_kinds_are_there_before_their_first_job(tmp_path: Path) -> None:
    """With every status; the age of the oldest pending job grows until it starts."""
    kinds = {"wait": {"command": shell(WAIT, tmp_path), "concurrency": 1}, "other": {"command": ["true"]}}
    with JobsDaemon(tmp_path, kinds) as server:

        def shown(name: str) -> dict[tuple[str, str], float]:
            return {
                (dict(labels)["kind"], dict(labels)["status"]): value
                for (each, labels), value in server.metrics().items()
                if each == name
            }

        def oldest() -> float:
            return server.metrics()["hvd_oldest_pending_job_seconds", frozenset()]

        until(lambda: shown("hvd_jobs"), "the runner has read its database")
        assert shown("hvd_jobs") == {(kind, status): 0 for kind in kinds for status in ("pending", "running")}
        ended = {(kind, status): 0 for kind in kinds for status in ("completed", "failed", "cancelled")}
        assert shown("hvd_jobs_total") == ended
        assert oldest() == 0
        server.submit("wait", 2)
        until(lambda: oldest() > 0.5, "one waits")
        until(lambda: shown("hvd_jobs")["wait", "running"] == 1, "one runs")
        (tmp_path / "gate").touch()
        until(lambda: shown("hvd_jobs_total")["wait", "completed"] == 2, "both have ended")
        until(lambda: oldest() == 0, "none waits")
        assert set(shown("hvd_jobs").values()) == {0}, "it does not vanish"
