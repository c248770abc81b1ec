"""The history and the details, of a real daemon."""

import os
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.support.server import Server
from tests.support.waiting import until
from tests.support.ws import RawWebSocket


def history(server: Server) -> dict[str, Any]:
    answer: dict[str, Any] = server.get("/api/v1/history").json()
    return answer


def requests_in(answer: dict[str, Any]) -> float:
    """How many requests the points tell of, by their latency buckets."""
    return sum(map(sum, answer["latency"]["counts"]))


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
