"""The history, the details and what only an aggregator knows, of a real daemon."""

import os
import signal
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.support.server import Server, upgradable
from tests.support.waiting import until
from tests.support.ws import RawWebSocket


def history(server: Server) -> dict[str, Any]:
    answer: dict[str, Any] = server.get("/api/v1/history").json()
    return answer


def requests_in(answer: dict[str, Any]) -> float:
    """How many requests the points tell of, by their latency buckets."""
    return sum(map(sum, answer["latency"]["counts"]))


def rows(answer: dict[str, Any]) -> list[dict[str, float]]:
    """The points, by column."""
    return [dict(zip(answer["columns"], row, strict=True)) for row in answer["points"]]


def counts(data: dict[str, Any]) -> dict[str, int]:
    return {route["route"]: route["count"] for route in data["routes"]}


def test_the_history_outlives_its_aggregator(tmp_path: Path) -> None:
    """Points tell of the requests made; those that a killed aggregator wrote are there, and others follow."""
    with Server(tmp_path, workers=2, interval=0.2) as server:
        for _ in range(50):
            server.get("/hello")
        first = until(lambda: found if requests_in(found := history(server)) >= 50 else None, "the requests are seen")
        assert first["columns"][0] == "time"
        assert all(len(point) == len(first["columns"]) for point in first["points"])
        (aggregator,) = server.pids("aggregator")
        os.kill(aggregator, signal.SIGKILL)
        until(lambda: [pid for pid in server.pids("aggregator") if pid != aggregator], "it is replaced")
        enough = len(first["points"]) + 2
        more = until(lambda: found if len((found := history(server))["points"]) >= enough else None, "others follow")
        assert more["points"][: len(first["points"])] == first["points"]
        times = [point[0] for point in more["points"]]
        assert all(later - earlier >= 1 for earlier, later in pairwise(times))


def test_details_go_to_those_who_ask(tmp_path: Path) -> None:
    """At once and after each broadcast, in agreement with the snapshot; the others never see one."""
    with (
        Server(tmp_path, workers=2, interval=0.2) as server,
        RawWebSocket(server.address, "/ws?detail=1") as asking,
        RawWebSocket(server.address, "/ws?detail=2") as other,
    ):
        types = [asking.message("")["type"] for _ in range(6)]
        assert types == ["metrics", "status", "jobs", "detail", "metrics", "detail"]
        for _ in range(20):
            server.get("/hello")
        until(lambda: counts(asking.message("detail")["data"]).get("/hello") == 20, "they are seen")
        until(lambda: asking.message("detail")["data"]["point"], "a new point is told")
        snapshot, newest = server.snapshot(), asking.message("detail")["data"]
        assert [worker["pid"] for worker in newest["workers"]] == [worker["pid"] for worker in snapshot["workers"]]
        assert counts(newest)["/hello"] == counts(snapshot)["/hello"] == 20
        assert all(worker["requests_per_second"] is not None for worker in newest["workers"])
        assert newest["restarts"] == 0
        assert [other.message("")["type"] for _ in range(8)] == ["metrics", "status", "jobs", *["metrics"] * 5]


def test_points_tell_what_was_served(tmp_path: Path) -> None:
    """Each response once, whatever the ticks are: in the rates, the error shares and the buckets."""
    with Server(tmp_path, workers=2, interval=0.3) as server, server.connection() as connection:
        until(lambda: rows(history(server)), "a first point is there")
        before, after = server.snapshot(), ["/hello"] * 60 + ["/status-of/404"] * 20 + ["/slow?s=0.3"]
        for path in after:
            connection.get(path)
        until(lambda: (found := rows(history(server))) and found[-1]["time"] - found[0]["time"] > 5, "more follow")
        answer = server.get("/api/v1/history")
        assert answer.headers["cache-control"] == "no-store"
        found = answer.json()
        points, buckets = rows(found), found["latency"]
        assert found["interval_seconds"] == 2.1
        assert all(later["time"] - earlier["time"] > 1.9 for earlier, later in pairwise(points))
        assert {len(counts) for counts in buckets["counts"]} == {len(buckets["bounds_ms"]) + 1}
        slow = sum(sum(counts[buckets["bounds_ms"].index(500) :]) for counts in buckets["counts"])
        assert 1 <= slow <= slower_than_250_ms(server), "each once; on a slow machine others than /slow, too"
        spans = [later["time"] - earlier["time"] for earlier, later in pairwise(points)]
        served = sum(point["requests_per_second"] * span for point, span in zip(points[1:], spans, strict=True))
        told = sum(sum(counts) for counts in buckets["counts"][1:])
        assert abs(served - told) <= 1 + 0.02 * told
        assert told >= len(after)
        errors = sum(
            point["requests_per_second"] * span * point["error_rate"]
            for point, span in zip(points[1:], spans, strict=True)
        )
        assert abs(errors - 20) < 1
        assert all(point["memory_usage"] > 10_000_000 and point["websocket_clients"] == 0 for point in points)
        assert server.snapshot()["http_requests"] > before["http_requests"] + len(after)
        assert server.counted()["/api/v1/history", 200] >= 2, "counted under its template"


def slower_than_250_ms(server: Server) -> float:
    """How many requests there were, as /metrics tells it."""
    samples = [(name, dict(labels), value) for (name, labels), value in server.metrics().items()]
    duration = "hvd_http_request_duration_seconds"
    quick = sum(value for name, labels, value in samples if name == f"{duration}_bucket" and labels["le"] == "0.25")
    return sum(value for name, _, value in samples if name == f"{duration}_count") - quick


def test_the_history_outlives_its_daemon(tmp_path: Path) -> None:
    """A killed master's block is taken over, its points too; a clean stop leaves nothing."""
    with Server(tmp_path, interval=0.2) as server:
        first = until(lambda: (found := history(server))["points"] and found, "a first point is there")
        assert first
        server.kill_master()
        with Server(tmp_path, instance=server.instance, interval=0.2) as successor:
            assert history(successor)["points"][: len(first["points"])] == first["points"]
            until(lambda: len(history(successor)["points"]) > len(first["points"]), "others follow")
            successor.stop()
        with Server(tmp_path, instance=server.instance, interval=0.2) as another:
            assert first["points"][0] not in history(another)["points"]


def test_one_of_two_aggregators_writes_the_history(tmp_path: Path) -> None:
    """During an upgrade two tick; points stay two seconds apart, and go on when the old daemon has left."""
    with upgradable(Server(tmp_path, workers=1, interval=0.2)) as server:
        until(lambda: history(server)["points"], "a first point is there")
        [old] = server.pids("aggregator")
        server.signal(signal.SIGUSR2)
        until(lambda: len(server.pids("aggregator")) == 2, f"a second aggregator is there; log:\n{server.log}")
        start = rows(history(server))[-1]["time"]
        until(lambda: rows(history(server))[-1]["time"] > start + 5, "points go on while two are there")
        assert len(server.pids("aggregator")) == 2
        server.signal(signal.SIGTERM)
        assert server.wait(30) == 0
        assert old not in server.pids("aggregator")
        last = rows(history(server))[-1]["time"]
        until(lambda: rows(history(server))[-1]["time"] > last, "points go on without it")
        times = [point["time"] for point in rows(history(server))]
        assert all(later - earlier > 1.4 for earlier, later in pairwise(times)), times
        server.stop_successor()


def test_details_cost_nothing_while_nobody_asks(tmp_path: Path) -> None:
    """A client that comes after others have gone gets the numbers of now, with rates at once."""
    with Server(tmp_path, workers=2, interval=0.2) as server:
        with RawWebSocket(server.address, "/ws?detail=1") as early:
            assert "/hello" not in counts(early.message("detail")["data"])
        for _ in range(10):
            server.get("/hello")
        with RawWebSocket(server.address) as plain:
            assert [plain.message()["type"] for _ in range(3)] == ["metrics"] * 3
        for _ in range(5):
            with RawWebSocket(server.address, "/ws?detail=1") as late:
                data = late.message("detail")["data"]
                assert counts(data)["/hello"] == 10
                assert all(row["requests_per_second"] >= 0 for row in (*data["routes"], *data["workers"]))
                assert {process["kind"] for process in data["processes"]} >= {"master", "worker", "aggregator"}


def test_figures_stay_with_their_age_and_nothing_of_the_dead_is_shown(tmp_path: Path) -> None:
    """Memory of before, growing older; no client and no process of the dead aggregator, nor by its successor."""
    with Server(tmp_path, interval=0.2) as server, ExitStack() as clients:
        for _ in range(3):
            clients.enter_context(RawWebSocket(server.address))
        until(lambda: server.snapshot()["websocket_clients"] == 3, "the clients are counted")
        [aggregator] = server.pids("aggregator")
        server.signal(signal.SIGSTOP)
        os.kill(aggregator, signal.SIGKILL)
        away = until(lambda: "aggregator away" in str((found := server.snapshot())["reasons"]) and found, "it is away")
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
