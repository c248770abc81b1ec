"""Content negotiation (RFC 9110, section 12.5.1), and the index."""

import gzip
import json
import re
import time
from types import SimpleNamespace
from typing import Any

import falcon
import pytest
from falcon import testing

from hvd.companion.child import as_json
from hvd.core import layout
from hvd.core.block import Block
from hvd.core.pages import Page
from hvd.core.rows import Rows
from hvd.core.slots import Slots
from hvd.export.exposition import OPENMETRICS, TEXT
from hvd.metrics.table import FAMILIES
from hvd.read.companions import STARTING
from hvd.read.reading import BlockReader
from hvd.web.app import create_app
from hvd.web.endpoints import endpoints_of
from hvd.web.here import Here
from hvd.web.resources import LARGE, Index, JsonResource, negotiate
from tests.unit.core.own.support import ORDERS, store_in
from tests.unit.figures import make_admin, make_jobs, make_page, publish, start_worker
from tests.unit.web import asking

METRICS = [TEXT, OPENMETRICS, "text/plain"]
JSON = ["application/json"]


def request(accept: str | None) -> falcon.Request:
    headers = {} if accept is None else {"Accept": accept}
    return falcon.Request(testing.create_environ(headers=headers))


@pytest.mark.parametrize(
    "accept", [None, "", "*/*", "*", "application/*", "application/json", "Application/JSON;q=0.1"]
)
def test_json_is_given_to_whoever_takes_it(accept: str | None) -> None:
    """Without an Accept header, too; types are the same in any case."""
    assert negotiate(request(accept), JSON) == "application/json"


@pytest.mark.parametrize(
    ("accept", "best"),
    [
        *((accept, TEXT) for accept in (None, "*/*", "text/*", "text/plain", "Text/Plain", TEXT)),
        *((accept, OPENMETRICS) for accept in (OPENMETRICS, "application/openmetrics-text")),
        *((f"{accept}; charset=utf-8", accept) for accept in (TEXT, OPENMETRICS)),
        (f"{TEXT};q=0.2, {OPENMETRICS};q=0.7", OPENMETRICS),
        (f"{TEXT};q=0.7, {OPENMETRICS};q=0.2", TEXT),
        (f"{OPENMETRICS};q=0, */*", TEXT),
        ("text/plain; version=1.0.0", "text/plain"),
    ],
)
def test_the_preferred_type_is_chosen(accept: str | None, best: str) -> None:
    """By quality, then by the order in which they are offered."""
    assert negotiate(request(accept), METRICS) == best


@pytest.mark.parametrize(
    "accept",
    [
        "application/json,",
        ", ,application/json",
        "text/html;level=1,application/json;q=0.5",
        'application/json;note="a;b"',
        "application/json ; q=0.5",
        "application/json;",
        "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",  # java.net.HttpURLConnection
    ],
)
def test_odd_but_readable_headers_are_read(accept: str) -> None:
    """Empty list elements are ignored (section 5.6.1), parameters may be quoted, and old clients send a lone `*`."""
    assert negotiate(request(accept), JSON) == "application/json"


@pytest.mark.parametrize(
    "accept",
    [
        *("json", "a/b/c", "text/", "/json", "/", "*/*;q", "*/*;q=", "*/*;q=2", "*/*;q=-1", "*/*;q=x", "a b/c"),
        *("a/b c/d", ",", "ä/b"),
    ],
)
def test_what_breaks_the_grammar_is_refused(accept: str) -> None:
    """400, with the header shown."""
    with pytest.raises(falcon.HTTPBadRequest, match="400") as caught:
        negotiate(request(accept), JSON)
    assert repr(accept) in str(caught.value.description)


@pytest.mark.parametrize(
    "accept", ["text/html", "text/*", "application/json;q=0", "application/json;q=0, */*", "application/xml"]
)
def test_what_excludes_all_is_not_acceptable(accept: str) -> None:
    """406, naming what there is."""
    with pytest.raises(falcon.HTTPNotAcceptable) as caught:
        negotiate(request(accept), JSON)
    assert "application/json" in str(caught.value.description)


@pytest.mark.timeout(5)
@pytest.mark.parametrize("filling", [" ;", "; ", ";  \t", ";a=b", ';a="\\"', ",", "a/b,", " "])
def test_a_long_header_is_read_in_no_time(filling: str) -> None:
    """No header makes the grammar's expression backtrack without end."""
    for end in ("", "!@", '"'):
        with pytest.raises(falcon.HTTPError):
            negotiate(request("a/b" + filling * (8000 // len(filling)) + end), JSON)


def test_the_index_lists_every_endpoint() -> None:
    """`/` names what the app answers, and nothing that it doesn't."""
    app: Any = create_app(Here())
    client = testing.TestClient(app)
    endpoints = client.simulate_get("/").json["endpoints"]
    assert endpoints == {endpoint.path: endpoint.about for endpoint in endpoints_of(admin=False) if endpoint.listed}
    for path in endpoints:
        assert client.simulate_options(path).status_code == 200


def test_answers_are_not_to_be_cached() -> None:
    """They are of this moment; HEAD says the same."""
    client = testing.TestClient(create_app(Here()))
    assert client.simulate_get("/").headers["cache-control"] == "no-store"
    head = client.simulate_head("/")
    assert (head.status_code, head.headers["content-type"], head.content) == (200, "application/json", b"")


class Many(JsonResource):
    def answer(self) -> dict[str, Any]:
        return {"numbers": list(range(LARGE))}


@pytest.mark.parametrize(("accepted", "packed"), [("gzip", True), ("br", False), (None, False)])
def test_large_answers_are_compressed_for_who_takes_it(accepted: str | None, packed: bool) -> None:
    """A history, say; small ones aren't worth it. Caches are told in both cases."""
    app: Any = falcon.App()
    app.add_route("/many", Many(Here()))
    app.add_route("/", Index(Here(), {}))
    client = testing.TestClient(app, headers={"Accept-Encoding": accepted} if accepted else {})
    answer = client.simulate_get("/many")
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.headers.get("content-encoding") == ("gzip" if packed else None)
    data = gzip.decompress(answer.content) if packed else answer.content
    assert json.loads(data) == {"numbers": list(range(LARGE))}
    assert "content-encoding" not in client.simulate_get("/").headers


class Daemon:
    """A client of the app of a daemon that has begun so many s ago, and has one worker."""

    def __init__(self, block: Block, *, runs_jobs: bool = True, age: float = STARTING) -> None:
        block.cells[layout.H_STARTED_MONO] -= round(age * 1e9)
        self.worker = start_worker(block)
        publish(block, make_admin())
        kinds: Any = {"plain": None} if runs_jobs else {}
        settings = asking.settings(job_kinds=kinds, http_presets=("flask",))
        reader = BlockReader(block, runs_jobs=runs_jobs)
        here: Any = SimpleNamespace(parts=SimpleNamespace(reader=reader, settings=settings))
        self.client = testing.TestClient(create_app(here))

    def reasons(self) -> list[str]:
        """What /health says; it is degraded where there is any reason, and answers 200 either way."""
        answer = self.client.simulate_get("/health")
        assert answer.status_code == 200
        assert answer.json["status"] == ("degraded" if answer.json["reasons"] else "healthy")
        assert self.client.simulate_get("/api/v1/snapshot").json["system_health"] == answer.json["status"]
        reasons: list[str] = answer.json["reasons"]
        return reasons

    def up(self) -> list[str]:
        """What /metrics says of the companions."""
        return [
            line for line in self.client.simulate_get("/metrics").text.splitlines() if re.match(r"hvd_\w+_up", line)
        ]


def test_own_metrics_are_on_metrics_and_in_the_snapshot(own_block: Block) -> None:
    """In the latter with ?detail=1 only."""
    client, store = Daemon(own_block).client, store_in(own_block)
    orders = store.declare(ORDERS)
    orders.place(('say "hi"',)).add(0, 3)
    text = client.simulate_get("/metrics").text
    assert text.endswith(
        '# HELP orders_total Orders.\n# TYPE orders_total counter\norders_total{shop="say \\"hi\\""} 3.0\n'
    )
    assert 'hvd_own_series{family="orders"} 1\n' in text
    assert "own" not in client.simulate_get("/api/v1/snapshot").json
    (metric,) = client.simulate_get("/api/v1/snapshot?detail=1").json["own"]
    assert metric["series"][0]["labels"] == {"shop": 'say "hi"'}
    assert metric["series"][0]["value"] == 3


AGGREGATOR_AWAY = "aggregator away: process figures are old, /ws is not served"


@pytest.mark.parametrize(
    "accept", ["text/html", "*/*;q=0", "garbage", "a/b/c", ",", "application/json;q=nan", "x" * 4000]
)
def test_health_answers_whatever_a_probe_accepts(block: Block, accept: str) -> None:
    """In JSON, to GET and HEAD; the other endpoints say what is wrong with the header."""
    client = Daemon(block).client
    for query in ("", "?", "?a=%ff&%", "?a[]=1;b"):
        answer = client.simulate_get(f"/health{query}", headers={"Accept": accept, "Content-Type": "garbage"})
        assert (answer.status_code, answer.json["status"]) == (200, "degraded")
        assert answer.headers["content-type"] == "application/json"
    head = client.simulate_head("/health", headers={"Accept": accept})
    assert (head.status_code, head.content) == (200, b"")
    assert client.simulate_get("/status", headers={"Accept": accept}).status_code in (400, 406)


def test_an_answer_reads_each_page_once(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the sums, so that no age is negative, though a page is written between any two readings of one."""
    daemon = Daemon(block)
    slot = publish(block, make_page())
    publish(block, make_jobs())
    page, reads, read = Page(block, slot), [0], Page.read

    def counting(self: Page) -> bytes:
        reads[0] += 1
        data = read(self)
        page.write(as_json(make_page(monotonic_ns=time.monotonic_ns(), memory_ns=time.monotonic_ns())))
        return data

    monkeypatch.setattr(Page, "read", counting)
    for path in ("/health", "/api/v1/snapshot", "/metrics", "/status"):
        reads[0] = 0
        answer = daemon.client.simulate_get(path)
        assert reads[0] == layout.COMPANION_SLOTS
        ages = re.findall(r"age_seconds\"?[: ]+(-?[0-9.e-]+)", answer.text)
        assert ages or path == "/status"
        assert all(float(age) >= 0 for age in ages), ages


def test_a_daemon_that_has_just_started_is_starting(block: Block) -> None:
    """`system_health` knows three values, and says degraded."""
    client = Daemon(block, age=0).client
    health, snapshot = client.simulate_get("/health").json, client.simulate_get("/api/v1/snapshot").json
    assert (health["status"], health["reasons"]) == ("starting", [])
    assert (snapshot["health"], snapshot["system_health"]) == ("starting", "degraded")


def test_no_worker_that_serves_is_service_unavailable(block: Block) -> None:
    """To GET and HEAD; all else answers on, and says it too."""
    daemon = Daemon(block)
    assert daemon.client.simulate_get("/health").json["workers_alive"] == 1
    Slots(block).say_ready(daemon.worker, 0)  # it boots
    answer = daemon.client.simulate_get("/health")
    assert (answer.status_code, answer.json["status"], answer.json["workers_alive"]) == (503, "unhealthy", 0)
    assert answer.json["reasons"][0].startswith("no worker serves")
    assert daemon.client.simulate_head("/health").status_code == 503
    assert daemon.client.simulate_get("/api/v1/snapshot").json["system_health"] == "unhealthy"
    assert 'hvd_health{status="unhealthy"} 1\n' in daemon.client.simulate_get("/metrics").text


def test_health_says_how_busy_the_workers_are(block: Block) -> None:
    """Cheaply: with the oldest requests, and no sums."""
    daemon = Daemon(block)
    publish(block, make_page())
    row = Rows(block, daemon.worker, FAMILIES).mine()
    row.begin("GET", "/slow")
    health = daemon.client.simulate_get("/health").json
    assert (health["worker_threads"], health["worker_threads_busy"], health["saturated_seconds"]) == (4, 1, 0.0)
    assert [request["path"] for request in health["longest_requests"]] == ["/slow"]
    row.abandon("exception")


def test_health_and_metrics_say_why_jobs_wait(block: Block) -> None:
    """A runner that is away, or can't use its database; what it published last is shown on."""
    daemon = Daemon(block)
    assert daemon.reasons() == [AGGREGATOR_AWAY, "job runner away: jobs wait"]
    publish(block, make_page())
    assert daemon.reasons() == ["job runner away: jobs wait"]
    slot = publish(block, make_jobs(trouble="the disk is full"))
    assert daemon.reasons() == ["the disk is full: jobs wait"]
    assert daemon.up() == ["hvd_aggregator_up 1", "hvd_job_runner_up 0"]
    Slots(block).free(slot)
    assert daemon.reasons() == ["job runner away: jobs wait"]
    assert daemon.up() == ["hvd_aggregator_up 1", "hvd_job_runner_up 0"]
    publish(block, make_jobs(open=[["k", "running", 2]]))
    assert daemon.reasons() == []
    assert daemon.up() == ["hvd_aggregator_up 1", "hvd_job_runner_up 1"]


def test_health_says_nothing_of_jobs_where_no_kind_is_declared(block: Block) -> None:
    """There is no runner to miss."""
    daemon = Daemon(block, runs_jobs=False)
    assert daemon.reasons() == [AGGREGATOR_AWAY]
    assert daemon.up() == ["hvd_aggregator_up 0"]
