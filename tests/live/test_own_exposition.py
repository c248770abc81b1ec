"""What is shown of an app's own metrics by a daemon: on /metrics, in the snapshot, to WebSocket clients."""

import json
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.support.guest import Guest
from tests.support.prometheus import check_metrics
from tests.support.ws import RawWebSocket

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
KINDS, PARTS = ("uniform", "log-normal", "bimodal", "constant"), 4

SHOP = """\
import random
import hvd

ODD = ["\\0", "\\n", '"', "\\\\", "\\ud800", "\\udfff x", "\\r", "{}", "# EOF", "", "(other)", "x" * 2**20]
DISTRIBUTIONS = {
    "uniform": lambda chance: chance.uniform(0.001, 20),
    "log-normal": lambda chance: chance.lognormvariate(-3, 2),
    "bimodal": lambda chance: chance.gauss(*chance.choice([(0.02, 0.001), (3.0, 0.2)])),
    "constant": lambda chance: 1.091,
}
PART = 62_500

def amounts(name, part):
    chance = random.Random(f"{name} {part}")
    return [DISTRIBUTIONS[name](chance) for _ in range(PART)]

work = hvd.Histogram("work_seconds", "Work.", ["kind"], buckets=hvd.LOGARITHMIC)
odd = hvd.Counter("odd", "Odd \\ud800.", ["value"])
taken = hvd.Gauge("hvd_workers", "Of the app.", multiprocess_mode="livesum")
orders = hvd.Counter("orders", "Orders.", unit="eur")
many = hvd.Counter("many", "Many.", ["number"])

def app(environ, start_response):
    kind, _, part = environ["PATH_INFO"].strip("/").partition("/")
    if kind in DISTRIBUTIONS:
        observe = work.labels(kind).observe
        for amount in amounts(kind, part):
            observe(amount)
    elif kind == "odd":
        for value in ODD:
            odd.labels(value).inc()
        orders.inc(2.5, exemplar={"trace_id": "4bf92f35"})
    elif kind == "many":
        for number in range(200):
            many.labels(number).inc()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """Two workers that have observed a million amounts, odd label values, and more series than there may be."""
    with Guest(tmp_path_factory.mktemp("own"), files={"shop.py": SHOP}, own_series=256) as server:
        paths = [f"/{kind}/{part}" for kind in KINDS for part in range(PARTS)]
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(server.get, [*paths, "/odd", "/many"]))
        assert {answer.status for answer in answers} == {200}
        yield server


def own(server: Guest) -> dict[str, Any]:
    answer = json.loads(server.hvd_get("/api/v1/snapshot?detail=1").body)
    return {metric["name"]: metric for metric in answer["own"]}


def test_percentiles_of_a_million_observations_are_within_five_percent(server: Guest) -> None:
    """A quarter of a million of each distribution, counted by two processes with several threads each."""
    shop: dict[str, Any] = {}
    exec(SHOP.partition("work = ")[0], shop)  # nosec B102
    shown = {series["labels"]["kind"]: series for series in own(server)["work_seconds"]["series"]}
    for kind in KINDS:
        exact = sorted(amount for part in range(PARTS) for amount in shop["amounts"](kind, str(part)))
        assert shown[kind]["count"] == len(exact) == 250_000
        assert shown[kind]["sum"] == pytest.approx(math.fsum(exact), rel=1e-9)
        for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
            assert shown[kind][name] == pytest.approx(exact[math.ceil(share * len(exact)) - 1], rel=0.05), (kind, name)


def test_a_scrape_of_odd_label_values_is_valid(server: Guest) -> None:
    """For promtool and the official parsers, in both formats; values are bounded, and none is lost."""
    text, openmetrics = server.hvd_get("/metrics").body, server.hvd_get("/metrics", Accept=OPENMETRICS).body
    assert len(text) < 200_000
    assert "odd" not in check_metrics(text).stderr
    for families in (parse_text(text.decode()), parse_openmetrics(openmetrics.decode())):
        (odd,) = (family for family in families if family.name == "odd")
        values = {sample.labels["value"]: sample.value for sample in odd.samples}
        assert len(values) == 12
        assert set(values.values()) == {1.0}
        assert max(map(len, values)) < 1100


def test_series_beyond_the_limit_are_counted_and_said_once(server: Guest) -> None:
    """In one more, whichever process counts them."""
    (many,) = (family for family in parse_text(server.hvd_get("/metrics").body.decode()) if family.name == "many")
    assert sum(sample.value for sample in many.samples) == 200
    assert len(many.samples) == 129
    assert server.sample("hvd_own_series", family="many") == server.sample("hvd_own_series_limit") == 128
    assert server.sample("hvd_own_series_overflow_total", family="many") == 72
    assert server.log.count("the metric many ") == 1


def test_a_name_of_hvds_stays_hvds(server: Guest) -> None:
    """The app's is a conflict, and in the snapshot."""
    assert server.sample("hvd_workers") == 2
    assert server.sample("hvd_family_conflicts_total", family="hvd_workers") == 1
    assert "hvd_workers" in own(server)


def test_units_and_exemplars_are_in_openmetrics(server: Guest) -> None:
    """As the app gave them."""
    text = server.hvd_get("/metrics?name[]=orders_eur_total", Accept=OPENMETRICS).body.decode()
    assert text.startswith("# HELP orders_eur Orders.\n# TYPE orders_eur counter\n# UNIT orders_eur eur\n")
    assert 'orders_eur_total 2.5 # {trace_id="4bf92f35"} 2.5 ' in text


def test_websocket_clients_that_ask_for_details_get_them(server: Guest) -> None:
    """At once."""
    with RawWebSocket(server.admin_address, path="/ws?detail=1") as client:
        detail = client.message("detail")["data"]
    metrics = {metric["name"]: metric for metric in detail["own"]}
    assert metrics["orders_eur"]["series"][0]["value"] == 2.5
    assert (len(metrics["many"]["series"]), metrics["many"]["series_total"]) == (100, 129)
