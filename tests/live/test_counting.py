"""What clients counted is what the daemon says, to the last request, wherever it is asked."""

import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.http import Tally, load
from tests.support.server import Server, stopped
from tests.support.waiting import until
from tests.support.ws import RawWebSocket

PATHS = [
    *["/hello"] * 20,
    *[f"/status-of/{code}" for code in (200, 201, 404, 500, 503)] * 3,
    *[f"/items/{number}" for number in range(200)],
    *[f"/nowhere/{number}" for number in range(20)],
]
"""What the load asks for: a few paths often, many of one route, and some that match none."""

CLASSES = {"gthread": {"threads": 4}, "sync": {"threads": 1}}


def answer_of(path: str) -> tuple[str, int]:
    """The route and status that a path of PATHS, or of the daemon's own, has."""
    first, _, rest = path[1:].partition("/")
    if first == "status-of":
        return "/status-of/{code}", int(rest)
    if first == "items":
        return "/items/{number}", 200
    if first == "nowhere":
        return "(unmatched)", 404
    return path, 200


def expected(tally: Tally) -> Counter[tuple[str, int]]:
    """What clients received, by route and status; each status was the one that belongs to its path."""
    counted: Counter[tuple[str, int]] = Counter()
    for (path, status), number in tally.received.items():
        assert answer_of(path)[1] == status
        counted[answer_of(path)] += number
    return counted


def of_load(counted: dict[tuple[str, int], int]) -> Counter[tuple[str, int]]:
    """Without what the tests' own reads are."""
    answers = {answer_of(path) for path in PATHS}
    return Counter({answer: number for answer, number in counted.items() if answer in answers})


@pytest.mark.parametrize(("worker_class", "requests"), [("gthread", 20_000), ("sync", 2_000)])
def test_every_request_is_counted_once(tmp_path: Path, worker_class: str, requests: int) -> None:
    """By route and status on /metrics, /api/v1/snapshot and /ws; sums, counts and buckets agree with each other."""
    with Server(tmp_path, workers=2, worker_class=worker_class, interval=0.2, **CLASSES[worker_class]) as server:
        tally = load(server.address, PATHS, clients=16, requests=requests)
        assert not tally.failed
        assert tally.responses == requests
        counted = expected(tally)
        assert of_load(server.counted()) == counted

        with server.view() as view, RawWebSocket(server.address) as client:
            server.wait_idle()
            finished = view.totals().heads.finished
            raw = until(lambda: is_of(client, finished), "a message of the moment after the last request")
            snapshot = server.snapshot()  # the first one, so that only this request of its route is missing in it
            server.wait_idle()
            samples = server.metrics()

        assert_agree(snapshot, raw, counted)
        assert_sound_histograms(samples)
        assert_exact_mean(snapshot, samples)
    assert not server.alarms


def is_of(client: RawWebSocket, finished: int) -> dict[str, Any] | None:
    """The figures of the next message, if that many requests were finished then, and no other was in progress."""
    raw: dict[str, Any] = client.message()["data"]["raw"]
    return raw if (raw["requests"]["finished"], raw["requests"]["in_flight"]) == (finished, 0) else None


def assert_agree(snapshot: dict[str, Any], raw: dict[str, Any] | None, counted: Counter[tuple[str, int]]) -> None:
    """Snapshot and WebSocket message of the same moment, and what clients counted."""
    assert raw
    for name in ("http_requests", "http_errors", "avg_response_time"):
        assert raw[name] == snapshot[name]
    by_status = {
        (route["route"], int(code)): n for route in snapshot["routes"] for code, n in route["statuses"].items()
    }
    assert of_load(by_status) == counted
    assert snapshot["http_requests"] == sum(by_status.values())
    assert snapshot["http_errors"] == sum(n for (_, status), n in counted.items() if status >= 400)
    for route in snapshot["routes"]:
        assert route["count"] == sum(route["statuses"].values())
        assert route["errors"] == sum(
            n for (name, status), n in by_status.items() if name == route["route"] and status >= 400
        )
    requests = snapshot["requests"]
    assert requests["started"] == snapshot["http_requests"] + 1  # the snapshot's own
    assert (requests["finished"], requests["in_flight"], requests["aborted"]) == (snapshot["http_requests"], 1, 0)
    assert raw["requests"] == {**requests, "started": requests["started"] - 1, "in_flight": 0}


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

DURATION = "hvd_http_request_duration_seconds"


def assert_sound_histograms(samples: Samples) -> None:
    """Buckets grow with their bound, the last is the count, which is the number of responses."""
    histograms: dict[frozenset[tuple[str, str]], list[tuple[float, float]]] = {}
    for (name, labels), value in samples.items():
        if name == f"{DURATION}_bucket":
            bound = float(dict(labels)["le"])
            series = frozenset(label for label in labels if label[0] != "le")
            histograms.setdefault(series, []).append((bound, value))
    assert len(histograms) >= 7
    for series, buckets in histograms.items():
        values = [value for _, value in sorted(buckets)]
        assert values == sorted(values)
        assert values[-1] == samples[f"{DURATION}_count", series] == samples["hvd_http_requests_total", series]
        assert samples[f"{DURATION}_sum", series] > 0


def assert_exact_mean(snapshot: dict[str, Any], samples: Samples) -> None:
    """The mean times the number is the sum of all durations but the snapshot's own, which came later."""
    own = {"method": "GET", "route": "/api/v1/snapshot", "status": "200"}
    durations = [
        value for (name, labels), value in samples.items() if name == f"{DURATION}_sum" and dict(labels) != own
    ]
    count = snapshot["requests"]["finished"]
    assert snapshot["avg_response_time"] * count == pytest.approx(1000 * sum(durations), rel=1e-9)
    own_duration = samples[f"{DURATION}_sum", frozenset(own.items())]
    assert own_duration > 1e-9 * sum(durations), "the comparison could not see one request missing"


@pytest.mark.parametrize("worker_class", CLASSES)
def test_percentiles_of_a_known_latency_are_right(tmp_path: Path, worker_class: str) -> None:
    """Of a route that takes 50 ms or, one time in ten, 200 ms: between what it sleeps and what the client waits."""
    with Server(tmp_path, workers=2, worker_class=worker_class, **CLASSES[worker_class]) as server:
        waits = []
        for number in range(40):
            start = time.monotonic()
            assert server.get("/slow?s=0.2" if number % 10 == 9 else "/slow?s=0.05").status == 200
            waits.append(1000 * (time.monotonic() - start))
        server.wait_idle()
        (route,) = (route for route in server.snapshot()["routes"] if route["route"] == "/slow")
        waits.sort()
        for name, slept, rank in (("p50_ms", 50, 20), ("p90_ms", 50, 36), ("p99_ms", 200, 40)):
            assert 0.95 * slept <= route[name] <= 1.05 * waits[rank - 1], name
        assert (36 * 50 + 4 * 200) / 40 <= route["mean_ms"] <= 1.05 * statistics.fmean(waits)


@pytest.mark.parametrize("worker_class", CLASSES)
def test_any_worker_gives_the_same_fresh_numbers(tmp_path: Path, worker_class: str) -> None:
    """Read after read, each finds all the reads before counted, whoever answered them."""
    with Server(tmp_path, workers=2, worker_class=worker_class, timeout=60, **CLASSES[worker_class]) as server:
        workers = server.pids("worker")
        assert len(workers) == 2
        before = server.snapshot()["http_requests"]
        answered = []
        for number in range(1, 61):
            with stopped(workers[number % 2]):  # so that it is the other one's turn
                status = server.get("/status").json()
                snapshot = server.snapshot()
            answered.append(status["answered_by"])
            assert snapshot["http_requests"] == before + 2 * number
            assert status["requests"]["started"] == before + 2 * number
            assert snapshot["requests"]["started"] == before + 2 * number + 1
            for requests in (status["requests"], snapshot["requests"]):
                assert requests["started"] == requests["finished"] + requests["in_flight"] + requests["aborted"]
        assert Counter(answered) == dict.fromkeys(workers, 30)


@pytest.mark.parametrize("app", ["app", "bridged"])
def test_an_app_behind_a_middleware_is_counted_as_the_client_sees_it(tmp_path: Path, app: str) -> None:
    """Whatever environ and `start_response` it gets: once, with its route; and /ws is handed over as ever."""
    statuses = {"/hello": 200, "/items/1": 200, "/status-of/404": 503, "/boom": 500, "/stream": 200, "/nowhere": 503}
    with Server(tmp_path, app=f"tests.support.wrapped:{app}", workers=1, threads=2) as server, server.view() as view:
        before = view.totals().heads
        for path, status in statuses.items():
            assert server.get(path).status == status, path
        with RawWebSocket(server.address) as client:
            client.message()
        server.wait_idle()
        heads = view.totals().heads
        number = len(statuses) + 1
        assert (heads.started, heads.finished) == (before.started + number, before.finished + number)
        assert heads.aborted == 0
        counted = server.counted()
        assert {answer: n for answer, n in counted.items() if answer[0] not in ("/health", "/metrics")} == {
            ("/hello", 200): 1,
            ("/items/{number}", 200): 1,
            ("/status-of/{code}", 503): 1,
            ("/boom", 500): 1,
            ("/stream", 200): 1,
            ("(unmatched)", 503): 1,
            ("/ws", 101): 1,
        }
    assert [line for line in server.alarms if "boom" not in line and "Traceback" not in line] == []


@pytest.mark.parametrize("worker_class", CLASSES)
@pytest.mark.parametrize("app", ["tests.support.wrapped:plain", "syntax_error:app"])
def test_any_app_is_counted(tmp_path: Path, app: str, worker_class: str) -> None:
    """One that knows nothing of hvd, or gunicorn's stand-in for one with a syntax error: what clients saw, no more."""
    (tmp_path / "syntax_error.py").write_text("def app(:\n")
    server = Server(
        tmp_path, app=app, arguments=("--reload",), workers=1, worker_class=worker_class, **CLASSES[worker_class]
    )
    with starting(server), server.view() as view:
        server.wait_idle()
        before = view.totals().heads
        statuses = [status_of(server, path) for path in ("/", "/fails", "/")]
        assert statuses == ([500] * 3 if "error" in app else [200, 500, 200])
        with server.connection() as connection:
            assert connection.exchange(b"GET\r\n\r\n").status == 400
        server.wait_idle()
        heads = view.totals().heads
        assert (heads.started, heads.finished, heads.aborted) == (before.started + 4, before.finished + 4, 0)
        assert heads.errors == before.errors + (4 if "error" in app else 2)


@contextmanager
def starting(server: Server) -> Iterator[Server]:
    """The daemon, which serves no /health, once it answers."""
    with server.start(ready=False):
        until(lambda: status_of(server, "/") in (200, 500), "it answers")
        yield server


def status_of(server: Server, path: str) -> int:
    """Of the answer; 0 without one."""
    try:
        return server.get(path).status
    except (OSError, IndexError):
        return 0
