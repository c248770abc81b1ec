"""What Prometheus, its tools and its official client library make of /metrics."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from hvd.metrics.table import METRICS, Metric
from tests.support.http import Asking, Load
from tests.support.jobs import JobsDaemon
from tests.support.prometheus import SCRAPE_INTERVAL, Prometheus, check_metrics
from tests.support.server import Server
from tests.support.waiting import until
from tests.support.ws import RawWebSocket

# Accept headers that Prometheus servers send, from their sources: 2.42, 3.0 with native histograms, 1.8.
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
PROMETHEUS_1 = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
)
TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


OF_OTHER_APPS = {
    *("hvd_event_loop_lag_seconds", "hvd_app_connections", "hvd_app_connection_duration_seconds"),
    "hvd_http_exceptions_total",  # Falcon tells nobody of one that it answers
    "hvd_http_route_info",
    *("hvd_own_series", "hvd_own_series_overflow_total", "hvd_family_conflicts_total"),
    *("hvd_otlp_pushes_total", "hvd_otlp_push_duration_seconds", "hvd_otlp_up"),
}
"""Metrics that have samples under ASGI, Flask or Django, of an app's own metrics, or with a receiver of OTLP:
test_asgi.py, test_figures.py, test_presets.py, test_own_metrics.py and test_otlp.py see them.
"""


def populate(server: Server) -> None:
    """Make every kind of event happen, so that every metric has a sample."""
    for path in ("/hello", "/items/1", "/nope", "/boom", "/ws", "/status-of/503"):
        server.get(path)
    server.get("/hello", **{"X-Request-Start": f"t={time.time()}"})
    server.admin_get("/health")
    with RawWebSocket(server.address) as client:
        client.message()
        client.message()
    slow = Asking(server.address, "/slow?s=60")
    busy = until(lambda: workers_serving(server, "/slow"), "a worker serves the slow request")
    os.kill(busy[0], signal.SIGKILL)
    assert isinstance(slow.wait(), OSError)
    names = "http_requests_aborted", "process_exits", "process_ends", "websocket_disconnections"
    expected = {f"hvd_{name}_total" for name in names}

    def counted() -> set[str]:
        return {name for (name, _), value in server.metrics().items() if value}

    until(lambda: expected <= counted(), "the death and the client's end are counted")
    until(lambda: len(server.pids("worker")) == 2, "the killed worker is replaced")


def workers_serving(server: Server, path: str) -> list[int]:
    return [each["pid"] for each in server.snapshot()["workers"] if path in [one["path"] for one in each["busy"]]]


def test_metrics_pass_promtool_and_the_official_parsers(tmp_path: Path) -> None:
    """No lint, both formats parse, agree with each other, and hold each metric of the table with its type and help."""
    kinds = {"noop": {"command": ["true"]}, "nap": {"command": ["sleep", "1000"]}}
    with JobsDaemon(tmp_path, kinds, threads=2) as server:
        populate(server)
        (ended,), (running,) = server.submit("noop"), server.submit("nap")
        server.wait_status(ended, "completed")
        server.wait_status(running, "running")
        ended_jobs = ("hvd_job_duration_seconds_count", frozenset({("kind", "noop"), ("status", "completed")}))
        until(lambda: server.metrics().get(ended_jobs) == 1, "they are published")  # the counters are 0 from the start
        text, openmetrics = server.get("/metrics"), server.get("/metrics", Accept=PROMETHEUS_2)

        checked = check_metrics(text.body)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")

        plain = {(family.name, family.type): family for family in parse_text(text.body.decode())}
        strict = {family.name: family for family in parse_openmetrics(openmetrics.body.decode())}
        shown = [metric for metric in METRICS if metric.name not in OF_OTHER_APPS]
        others = {_family_of(metric) for metric in METRICS if metric.name in OF_OTHER_APPS}
        assert strict.keys() - others == set(map(_family_of, shown))
        for metric in shown:
            name = metric.name.removesuffix("_total") if metric.kind == "counter" else metric.name
            family = strict[_family_of(metric)]
            kind = "unknown" if metric.name == "hvd_jobs_total" else metric.kind
            assert (family.type, family.documentation, family.unit) == (kind, metric.help, metric.unit)
            assert family.samples, metric.name
            older = plain[name, "gauge" if metric.kind == "info" else metric.kind]
            assert older.samples, metric.name
            assert older.documentation == metric.help
            assert {frozenset(sample.labels) for sample in family.samples if "le" not in sample.labels} == {
                frozenset(metric.labels)
            }
        assert openmetrics.body.endswith(b"\n# EOF\n")


def _family_of(metric: Metric) -> str:
    """Its name in OpenMetrics; hvd_jobs is a gauge, so hvd_jobs_total can't be that of a counter."""
    if metric.name == "hvd_jobs_total":
        return metric.name
    return metric.name.removesuffix("_total") if metric.kind == "counter" else metric.name.removesuffix("_info")


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A daemon for questions that change nothing."""
    with Server(tmp_path_factory.mktemp("quiet"), workers=1, threads=2, interval=0.2) as server:
        yield server


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_3, f"{OPENMETRICS}; escaping=allow-utf-8"),
        (PROMETHEUS_1, TEXT),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", TEXT),
    ],
)
def test_the_format_is_what_accept_prefers(quiet: Server, accept: str, content_type: str) -> None:
    """Text 0.0.4 unless OpenMetrics is preferred; the content type says which it is."""
    answer = quiet.get("/metrics", Accept=accept)
    assert answer.status == 200
    assert answer.headers["content-type"] == content_type
    assert answer.body.endswith(b"# EOF\n") == content_type.startswith(OPENMETRICS)


def test_no_accept_header_means_text(quiet: Server) -> None:
    """curl without options and old scrapers get text 0.0.4; HEAD gets the same headers."""
    with quiet.connection() as connection:
        assert connection.request("GET", "/metrics").headers["content-type"] == TEXT
        head = connection.request("HEAD", "/metrics")
        assert (head.status, head.headers["content-type"], head.body) == (200, TEXT, b"")


def kill(kind: str) -> Callable[[Server], None]:
    def work(server: Server) -> None:
        pid = server.pids(kind)[0]
        os.kill(pid, signal.SIGKILL)
        until(lambda: (pids := server.pids(kind)) and pid not in pids, f"the killed {kind} is replaced", 20)

    return work


DISTURBANCES = (kill("worker"), Server.reload, kill("aggregator"), kill("worker"))
PATHS = ["/hello", "/items/1", "/nope"]
COUNTED = 'hvd_http_requests_total{route=~"/hello|/items/{number}|.unmatched."}'


def scrapes(prometheus: Prometheus) -> int:
    """How often Prometheus got an answer."""
    return int(prometheus.value("sum_over_time(up[10m])") or 0)


def wait_for_scrapes(prometheus: Prometheus, more: int) -> None:
    enough = scrapes(prometheus) + more
    until(lambda: scrapes(prometheus) >= enough, f"Prometheus scrapes {more} times more", 30, pause=0.1)


@pytest.mark.long(27)
def test_prometheus_sees_no_reset_and_no_dead_process(tmp_path: Path) -> None:
    """Through deaths and reloads under load: no counter goes back, only living processes show, increase() is right."""
    with Server(tmp_path, workers=2, threads=2, interval=0.5) as server:
        host, port = server.address
        for path in PATHS:  # so that the first scrape finds the series that increase() is asked about
            server.get(path)
        with Prometheus(tmp_path, (str(host), int(port))) as prometheus:
            wait_for_scrapes(prometheus, 1)
            first = prometheus.value(f"sum({COUNTED})")
            assert first == len(PATHS)
            began = time.time()
            with Load(server.address, PATHS, 3) as clients:
                for disturb in DISTURBANCES:
                    wait_for_scrapes(prometheus, 2)
                    disturb(server)
                wait_for_scrapes(prometheus, 2)
            server.wait_ready()
            tally = clients.tally
            wait_for_scrapes(prometheus, 2)

            exact = sum(
                count
                for (route, _), count in server.counted().items()
                if route in {"/hello", "/items/{number}", "(unmatched)"}
            )
            assert tally.responses > 500
            assert tally.responses + first <= exact <= tally.responses + first + sum(tally.failed.values())
            assert prometheus.value(f"sum({COUNTED})") == exact
            window = int(time.time() - began) + 5
            increase = prometheus.value(f"sum(increase({COUNTED}[{window}s]))")
            between = max(SCRAPE_INTERVAL, window / scrapes(prometheus))  # on a busy machine some scrapes are late
            assert increase == pytest.approx(exact - first, rel=2.5 * between / (window - 5))

            check_no_reset(prometheus)
            until(
                lambda: shown_slots(prometheus) == {place(each) for each in server.snapshot()["processes"]},
                "hvd_process_* are of the processes that live",
            )
            ever = {place(series["metric"]) for series in prometheus.query("hvd_process_threads[10m]")}
            assert len(ever) <= 2 * len(shown_slots(prometheus)), "those that came after the dead have their series"


def check_no_reset(prometheus: Prometheus) -> None:
    """resets() is 0 for everything that counts."""
    suffixes = ("_total", "_count", "_sum", "_bucket")
    names = [name for name in prometheus.names() if name.startswith("hvd_") and name.endswith(suffixes)]
    assert {"hvd_http_requests_total", "hvd_http_request_duration_seconds_sum", "hvd_process_exits_total"} <= set(names)
    for name in names:
        assert float(prometheus.value(f"max(count_over_time({name}[10m]))") or 0) > 1, name
        series = prometheus.query(f"resets({name}[10m])")
        assert series, name
        assert [one for one in series if float(one["value"][1])] == []


def place(labels: Mapping[str, Any]) -> tuple[str, str]:
    """Kind and slot."""
    return labels["kind"], str(labels["slot"])


def shown_slots(prometheus: Prometheus) -> set[tuple[str, str]]:
    """Kinds and slots of all hvd_process_* of the last scrape; none if a scrape came between two of the questions."""
    found = [
        {place(series["metric"]) for series in prometheus.query(name)}
        for name in prometheus.names()
        if name.startswith("hvd_process_") and not name.endswith("_total")  # which go on when their process has ended
    ]
    assert len(found) == 5
    return found[0] if all(each == found[0] for each in found) else set()
