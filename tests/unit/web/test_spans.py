"""`/api/v1/routes` and `/api/v1/workers`: what is wanted, as far as there are records; what is no time is refused."""

import random
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import falcon.testing
import pytest

from hvd.core.baseline import write_baseline
from hvd.core.block import Block
from hvd.core.journal import spans_of
from hvd.metrics.spans import SpanRecord, WorkerLook, encode_span
from hvd.metrics.table import HTTP
from hvd.read.reading import BlockReader
from hvd.read.recorded import begin_at
from hvd.read.requests import sum_requests
from hvd.web.app import create_app
from hvd.web.here import Here
from tests.unit.core.support import own_rows
from tests.unit.spans import MS, answered, span
from tests.unit.web.asking import USUAL


class Client:
    """Asks for both, of a block whose records end just now."""

    def __init__(self, block: Block) -> None:
        self.block, self.reader = block, BlockReader(block)
        here = Here()
        here.parts = SimpleNamespace(block=block, reader=self.reader, settings=USUAL)  # type: ignore[assignment]
        self._client = falcon.testing.TestClient(create_app(here), headers={"Host": "127.0.0.1:8080"})
        self.now = time.time()

    def record(self, *spans: SpanRecord) -> None:
        """Spans, one after the other, the last of which ends now."""
        journal, ends = spans_of(self.block), self.now - sum(span.seconds for span in spans)
        with self.block.locked():
            for one in spans:
                ends += one.seconds
                shift = round(ends * 1e9) - one.to_ns
                moved = replace(one, from_ns=one.from_ns + shift, to_ns=one.to_ns + shift)
                totals = self.reader.totals()
                write_baseline(self.block, journal.newest + 1, begin_at(totals, sum_requests(totals)).baseline)
                journal.append(encode_span(moved, journal.room))

    def ask(self, path: str, status: int = 200, **params: Any) -> Any:
        response = self._client.simulate_get(f"/api/v1/{path}", params=params)
        assert response.status_code == status, response.text
        return response.json


@pytest.fixture
def client(block: Block) -> Client:
    return Client(block)


def test_the_last_minute_is_what_is_told_unless_another_time_is_named(client: Client) -> None:
    """With the span of the same length before, and what changed; what runs since the last record is in it."""
    well = span(10, ("/pay", "200", answered([MS] * 100)))
    bad = span(10, ("/pay", "200", answered([MS] * 80)), ("/pay", "503", answered([MS] * 20)))
    client.record(*[well] * 6, *[bad] * 6)
    own_rows(client.block).record(HTTP, ("GET", "/new", "200"), 5 * MS)
    answer = client.ask("routes")
    assert answer["seconds"] == pytest.approx(60, abs=5)
    assert answer["to"] == pytest.approx(time.time(), abs=5)
    assert answer["to"] - answer["from"] == pytest.approx(answer["seconds"], abs=0.002)
    assert (answer["service"]["requests"], answer["service"]["server_errors"]) == (601, 120)
    assert (answer["before"]["requests"], answer["before"]["server_errors"]) == (600, 0)
    assert [(route["route"], route["requests"]) for route in answer["routes"]] == [("/pay", 600), ("/new", 1)]
    assert [change["route"] for change in answer["changes"] if change["what"] == "server_error_rate"] == ["", "/pay"]
    past = client.ask("routes", **{"from": client.now - 120, "to": client.now - 60})
    assert (past["seconds"], past["service"]["requests"], past["service"]["server_errors"]) == (60, 600, 0)
    assert (past["before"], past["changes"]) == (None, [])
    assert past["from"] == pytest.approx(client.now - 120, abs=0.01)
    both = client.ask("routes", **{"from": client.now - 80, "to": client.now - 40})
    assert (both["service"]["requests"], both["service"]["server_errors"]) == (400, 40)
    assert client.ask("routes", **{"from": client.now - 55})["service"]["server_errors"] == pytest.approx(100, abs=20)


def test_what_had_no_room_in_the_records_is_one_route(client: Client) -> None:
    """So the routes of a past span add up to all of it, errors and times too; and a route that is missing on one side
    has not changed.
    """
    order = random.Random(3)
    routes = [(f"/{n}-{order.getrandbits(160)}", "503" if n % 3 else "404", answered([MS] * 2)) for n in range(2000)]
    busy = ("/busy", "200", answered([MS] * 900))
    client.record(span(10, busy, *routes[:30]), span(10, busy, *routes))
    answer = client.ask("routes", **{"from": client.now - 10, "to": client.now})
    rows, service = {route["route"]: route for route in answer["routes"]}, answer["service"]
    assert answer["left_out"] == 2000 + 1 - (len(rows) - 1) > 500
    for figure in ("requests", "client_errors", "server_errors"):
        assert sum(row[figure] for row in rows.values()) == service[figure] > 0
    assert sum(row["seconds_spent"] for row in rows.values()) == pytest.approx(service["seconds_spent"])
    assert rows["(others)"]["statuses"] == {
        "4xx": rows["(others)"]["client_errors"],
        "5xx": rows["(others)"]["server_errors"],
    }
    assert rows["(others)"]["p50_ms"] == pytest.approx(1, rel=0.05)
    assert {change["route"] for change in answer["changes"]} <= {"", "/busy"}
    assert client.ask("routes", **{"from": client.now - 20, "to": client.now - 10})["left_out"] == 0


def test_a_time_without_records_has_nothing(client: Client) -> None:
    """No requests, and no time either; a new daemon has what it counted so far."""
    own_rows(client.block).record(HTTP, ("GET", "/new", "200"), 5 * MS)
    assert client.ask("routes")["service"]["requests"] == 1
    answer = client.ask("routes", **{"from": 1000, "to": 2000})
    assert (answer["from"], answer["to"], answer["seconds"], answer["routes"]) == (1000, 2000, 0, [])
    assert (answer["service"]["requests"], answer["service"]["p99_ms"]) == (0, None)
    assert client.ask("workers", **{"from": 1000, "to": 2000})["workers"] == []
    for bounds in ({"from": 99_999_999_999}, {"to": 0}, {"to": 99_999_999_999, "from": client.now + 100}):
        answer = client.ask("routes", **bounds)
        assert (answer["seconds"], answer["from"] <= answer["to"]) == (0, True)
    assert client.ask("routes", to=99_999_999_999)["service"]["requests"] == 0


def test_all_there_was_is_what_the_snapshot_has(client: Client) -> None:
    """Of every route, since the totals began."""
    rows = own_rows(client.block)
    for number, status in enumerate(("200", "404", "503", "200")):
        for _ in range(number + 1):
            rows.record(HTTP, ("GET", f"/{number % 3}", status), 5 * MS)
    answer, snapshot = client.ask("routes", all="1"), client.ask("snapshot")
    routes = {route["route"]: route for route in answer["routes"]}
    assert {name: (route["requests"], route["statuses"]) for name, route in routes.items()} == {
        route["route"]: (route["count"], route["statuses"]) for route in snapshot["routes"]
    }
    for route in snapshot["routes"]:
        for figure in ("methods", "mean_ms", "p50_ms", "p90_ms", "p99_ms"):
            assert routes[route["route"]][figure] == route[figure]
    assert answer["service"]["requests"] == snapshot["http_requests"] == 10
    assert answer["before"] is None


def test_points_of_workers(client: Client) -> None:
    """Of all, or of one."""
    looks = [WorkerLook(9, pid, "worker", 0, 0, 0, 0.0, 10, 1, 0) for pid in (11, 12)]
    client.record(
        *(
            replace(span(10), workers=[look._replace(slot=look.pid, requests=20 * n, cpu_seconds=n) for look in looks])
            for n in range(5)
        )
    )
    answer = client.ask("workers", pid=12)
    assert [worker["pid"] for worker in answer["workers"]] == [12]
    assert [point[1:] for point in answer["workers"][0]["points"]] == [[2, 0, 10, 10, 1, 0, 0]] * 4
    assert answer["workers"][0]["points"][-1][0] == pytest.approx(client.now, abs=0.01)
    assert len(answer["columns"]) == 8
    part = client.ask("workers", **{"from": client.now - 25, "to": client.now - 5})
    assert [len(worker["points"]) for worker in part["workers"]] == [2, 2]


@pytest.mark.parametrize("path", ["routes", "workers"])
@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"from": "yesterday"}, ("from", '"yesterday"', "Unix time in seconds")),
        ({"to": "nan"}, ("to", '"nan"', "Unix time in seconds")),
        ({"to": "inf"}, ("to", '"inf"')),
        ({"from": "-5"}, ("from", '"-5"')),
        ({"from": "1769200200000"}, ("from", "1769200200000", "seconds")),
        ({"from": "200", "to": "100"}, ("from is 200.000", "not before to, 100.000", "earlier")),
        ({"from": "100", "to": "100"}, ("from is 100.000", "not before")),
    ],
)
def test_times_that_are_none_are_refused(client: Client, path: str, params: dict[str, str], words: tuple[str]) -> None:
    """By name, with the value, and what to do."""
    answer = client.ask(path, 400, **params)
    assert all(word in answer["detail"] for word in words), answer["detail"]


@pytest.mark.parametrize(
    ("path", "params", "word"),
    [
        ("routes", {"all": "yes"}, 'all is "yes": give 1, or leave it out.'),
        ("routes", {"all": "1", "from": "5"}, "give one or the other"),
        ("workers", {"pid": "x"}, "pid"),
    ],
)
def test_what_else_makes_no_sense_is_refused(client: Client, path: str, params: dict[str, str], word: str) -> None:
    """As are times."""
    assert word in client.ask(path, 400, **params)["detail"]
