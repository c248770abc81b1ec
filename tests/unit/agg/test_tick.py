"""The aggregator's tick, on a block of its own: what is published, kept and told."""

import json
import os
from collections.abc import Iterable
from typing import Any

import pytest

from hvd.agg import tick
from hvd.agg.observe import Observer, Sample, Watched
from hvd.agg.tick import Ticker, build_first_messages
from hvd.companion.child import as_json
from hvd.core import layout
from hvd.core.block import Block
from hvd.core.pages import Page
from hvd.core.rows import Rows
from hvd.core.slots import Slots
from hvd.metrics.columns import COLUMNS
from hvd.metrics.companion_pages import AggregatorPage
from hvd.metrics.table import CPU, FAMILIES, TICK, error_of
from hvd.read.companions import STARTING
from hvd.read.reading import BlockReader
from hvd.read.recent import Look
from hvd.read.snapshot import build_raw
from tests.unit.core.own.support import ORDERS, damage_last_record, store_in
from tests.unit.figures import make_admin, make_jobs, make_page, make_reading, make_totals, publish, start_worker


class Machine(Observer):
    """Processes as they are watched; each has used `cpu_seconds`."""

    ended: list[Sample] = []  # type: ignore[assignment]

    def __init__(self) -> None:
        self.cpu_seconds = 1.0
        self.measured: list[int] = []

    def measure(self, watched: Iterable[Watched]) -> None:
        self.measured = [process.pid for process in watched]

    def sample(self, watched: Iterable[Watched], now: float) -> list[Sample]:
        figures: dict[str, Any] = {"cpu_percent": 2.5, "cpu_seconds": self.cpu_seconds, "resident": 100, "threads": 3}
        return [Sample(*process, process.slot + 1, **figures) for process in watched]


class Daemon:
    """A daemon with one aggregator, whose ticks the test makes, an admin server and one worker."""

    def __init__(self, block: Block, **options: Any) -> None:
        block.cells[layout.H_STARTED_MONO] -= round(STARTING * 1e9)
        self.block, self.worker = block, start_worker(block)
        publish(block, make_admin())
        self.slot = Slots(block).claim(layout.KIND_AGGREGATOR, os.getpid(), os.getpid())
        self.rows, self.machine, self.clients = Rows(block, self.slot, FAMILIES), Machine(), 3
        self.ticker = Ticker(
            block,
            self.slot,
            self.rows,
            lambda page: Page(block, self.slot).write(as_json(page)),
            **{"interval": 2.0, "runs_jobs": False, **options},
            clients=lambda: self.clients,
            tasks=lambda: 5,
            observer=self.machine,
        )
        self.reader = BlockReader(block)

    def page(self) -> AggregatorPage:
        """What was published last."""
        page = self.reader.companions().last_page
        assert page
        return page

    def told(self, kind: str) -> Any:
        """The data of the message of that type that a new client would get."""
        messages = map(json.loads, (*self.ticker.first_messages, self.ticker.detail))
        return next(message["data"] for message in messages if message["type"] == kind)

    def cpu_seconds(self) -> float:
        """Of the aggregator's slot, as it is counted."""
        totals = self.reader.totals()
        labels = ("aggregator", str(self.slot))
        return sum(totals.cells[series.offset] for series in totals.of(CPU.key) if series.labels == labels) / 1e9


@pytest.fixture
def daemon(block: Block) -> Daemon:
    return Daemon(block)


def test_a_tick_publishes_and_tells_the_same(daemon: Daemon) -> None:
    """Of all processes together: the page, what clients get, and what it returns."""
    Slots(daemon.block).claim(layout.KIND_JOINED, os.getpid(), os.getpid())
    raw = daemon.ticker.tick()
    page = daemon.page()
    assert (page["cpu_usage"], page["memory_usage"], page["threads"], page["tasks"]) == (7.5, 300, 9, 5)
    kinds = [process["kind"] for process in page["processes"]]
    assert kinds == ["admin_server", "aggregator", "worker", "joined"], "the last has no part in the sums"
    assert daemon.told("metrics")["raw"] == raw
    assert (raw["websocket_clients"], raw["cpu_usage"], raw["system_health"]) == (3, 7.5, "healthy")
    assert raw["observed_age_seconds"] == 0
    assert daemon.told("detail")["processes"] == page["processes"]


def test_details_have_own_metrics_of_now(own_block: Block) -> None:
    """They are read only when somebody wants details."""
    daemon, store = Daemon(own_block), store_in(own_block)
    orders = store.declare(ORDERS)
    for count in (1, 2):
        orders.place(("a",)).add(0, 1)
        daemon.ticker.tick()
        (metric,) = daemon.told("detail")["own"]
        assert (metric["name"], metric["series_total"]) == ("orders", 1)
        assert [(series["labels"], series["value"]) for series in metric["series"]] == [({"shop": "a"}, count)]


def test_own_metrics_are_those_of_the_time_of_the_tick(own_block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though they are read later, on a busy machine much later: a point's rate is of the time up to that point."""
    store_in(own_block).declare(ORDERS)
    daemon, looks = Daemon(own_block), list[Look]()
    daemon.ticker.own.pin(["orders_total"])
    monkeypatch.setattr(daemon.ticker.own, "tick", lambda look, _: looks.append(look))
    daemon.ticker.tick()
    assert [look.at_ns for look in looks] == [daemon.page()["monotonic_ns"]]


def test_a_damaged_catalogue_of_own_metrics_costs_nothing_else(own_block: Block) -> None:
    """Neither a tick nor its details; what is pinned has no points then."""
    store_in(own_block).declare(ORDERS)
    damage_last_record(own_block)
    daemon = Daemon(own_block)
    daemon.ticker.own.pin(["orders_total"])
    daemon.ticker.tick()
    details = daemon.told("detail")
    assert (details["own"], details["pinned"]) == ([], {"orders_total": {}})


def test_rates_are_since_the_last_tick(daemon: Daemon) -> None:
    """Not since the start: what was counted before is no rate of now."""
    daemon.ticker.tick()
    for status in ("200", "503"):
        daemon.rows.count_response(("GET", "/ws", status), error_of(status))
    assert daemon.ticker.tick()["error_rate"] == 0.5
    assert daemon.page()["rates"]["requests_per_second"] > 0
    assert daemon.told("detail")["routes"][0]["requests_per_second"] > 0
    assert daemon.ticker.tick()["requests_per_second"] == 0


def test_what_is_stuck_is_in_the_figures_of_now(daemon: Daemon) -> None:
    """Busy for the whole interval, longer each time, and named; and over with the next tick."""
    daemon.ticker.tick()
    row = Rows(daemon.block, daemon.worker, FAMILIES).mine()
    row.begin("GET", "/stuck")
    first, second = daemon.ticker.tick(), daemon.ticker.tick()
    assert second["busy_ratio"] == 0.25 > first["busy_ratio"] > 0, "one thread of four"
    assert second["p99_with_open"] >= first["p99_with_open"] > first["p99"] == 0
    assert [request["path"] for request in second["longest_requests"]] == ["/stuck"]
    assert (second["worker_threads"], second["worker_threads_busy"]) == (4, 1)
    row.abandon("exception")
    daemon.ticker.tick()
    over = daemon.ticker.tick()
    assert (over["busy_ratio"], over["p99_with_open"], over["longest_requests"]) == (0.0, 0.0, [])


def test_the_steps_are_timed(daemon: Daemon) -> None:
    """So an operator sees what makes a tick slow."""
    daemon.ticker.tick()
    assert {series.labels for series in daemon.reader.totals().of(TICK.key)} >= {("read",), ("observe",)}


def test_sizes_of_processes_are_measured_before(daemon: Daemon) -> None:
    """Of all that are watched: the masters alive too."""
    daemon.ticker.measure()
    assert daemon.machine.measured == [os.getpid()] * 3


def test_cpu_time_goes_on_after_the_aggregator_before(block: Block) -> None:
    """In the same slot: its page says up to where it had counted."""
    first = Daemon(block)
    first.ticker.tick()
    assert first.cpu_seconds() == 1.0
    Slots(block).free(first.slot)
    second = Daemon(block)
    assert second.slot == first.slot
    second.machine.cpu_seconds = 1.75
    second.ticker.tick()
    second.ticker.tick()
    assert second.cpu_seconds() == 1.75


def test_of_two_aggregators_the_newer_counts_and_writes(block: Block) -> None:
    """Each tells the clients of both, and what both observe once."""
    older = Daemon(block)
    older.ticker.tick()
    newer = Daemon(block)
    newer.ticker.tick()
    raw = newer.ticker.tick()
    assert (raw["websocket_clients"], raw["tasks"]) == (6, 10)
    counted = newer.cpu_seconds()
    older.machine.cpu_seconds = newer.machine.cpu_seconds = 9.0
    older.ticker.tick()
    assert (older.cpu_seconds(), newer.cpu_seconds()) == (1.0, counted)
    newer.ticker.tick()
    assert newer.cpu_seconds() == 9.0


def test_a_new_client_gets_the_counts_of_now(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """But clients that come together share one reading."""
    daemon.ticker.tick()
    daemon.clients = 4
    assert daemon.ticker.refresh() is None
    assert daemon.told("metrics")["raw"]["websocket_clients"] == 3
    monkeypatch.setattr(tick, "GREETING_AGE", -1.0)
    assert daemon.ticker.refresh()
    assert daemon.told("metrics")["raw"]["websocket_clients"] == 4


def test_what_is_wrong_is_told(daemon: Daemon) -> None:
    """That the aggregator itself lives, it knows; whether jobs are run, it may learn later."""
    assert daemon.ticker.tick()["system_health"] == "healthy"
    daemon.ticker.configure(2.0, runs_jobs=True)
    raw = daemon.ticker.tick()
    assert (raw["system_health"], daemon.told("status")["reasons"]) == ("degraded", ["job runner away: jobs wait"])


def test_new_clients_get_the_figures_what_is_wrong_and_the_jobs() -> None:
    """All of one moment; the columns of the history are in it, so that a client can draw any."""
    jobs = make_jobs(trouble="disk full", recent=[{"id": "a", "kind": "convert", "status": "pending"}])
    raw = build_raw(make_reading(make_totals({}), make_page(), jobs=jobs, runs_jobs=True, job_runner_age=0.1))
    metrics, status, recent = map(json.loads, build_first_messages(raw, 7.5, {"app": "shop:app"}))
    assert [message["type"] for message in (metrics, status, recent)] == ["metrics", "status", "jobs"]
    assert {message["timestamp"] for message in (metrics, status, recent)} == {raw["timestamp"]}
    assert metrics["data"] == {"raw": raw}
    assert status["data"]["reasons"] == ["disk full: jobs wait"]
    assert (status["data"]["system_health"], status["data"]["jobs_active"]) == ("degraded", 0)
    assert status["data"]["app"] == "shop:app"
    assert status["data"]["interval_seconds"] == 7.5, "so that a client knows from when on silence is a bad sign"
    assert (status["data"]["total_jobs"], status["data"]["timestamp"]) == (0, raw["timestamp"])
    assert [column["name"] for column in status["data"]["columns"]] == [column.name for column in COLUMNS]
    assert recent["data"] == {"jobs": raw["recent_jobs"]}
