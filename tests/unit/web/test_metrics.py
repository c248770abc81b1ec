"""/metrics: formats, names, compression."""

import gzip
from types import SimpleNamespace
from typing import Any

import pytest
from falcon import testing
from prometheus_client.exposition import choose_encoder
from prometheus_client.parser import text_string_to_metric_families as parse_text

from hvd.core.block import Block
from hvd.core.own.definition import Definition
from hvd.export.exposition import OPENMETRICS, TEXT, TEXT_1
from hvd.read.reading import BlockReader
from hvd.web.app import create_app
from hvd.web.metrics import format_of
from tests.unit.core.own.support import ORDERS, store_in
from tests.unit.figures import start_worker
from tests.unit.web import asking

PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "media_type", "escaping"),
    [
        (None, TEXT, ""),
        ("*/*", TEXT, ""),
        ("text/plain", TEXT, ""),
        (PROMETHEUS_3, OPENMETRICS, "allow-utf-8"),
        ("application/openmetrics-text", OPENMETRICS, ""),
        ("application/openmetrics-text;version=1.0.0", OPENMETRICS, ""),
        ("application/openmetrics-text;version=1.0.0;escaping=dots", OPENMETRICS, "dots"),
        ("application/openmetrics-text; escaping=values; version=1.0.0", OPENMETRICS, "values"),
        ("application/openmetrics-text;version=1.0.0;escaping=odd", OPENMETRICS, "underscores"),
        ("application/openmetrics-text;escaping=dots", OPENMETRICS, ""),
        ("text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3", TEXT_1, "allow-utf-8"),
        ("text/plain;version=0.0.4;escaping=allow-utf-8", TEXT, ""),
        ("text/plain;version=1.0.0;escaping=dots;q=0.2,text/plain;version=0.0.4;q=0.3", TEXT, ""),
    ],
)
def test_the_format_and_the_escaping_are_as_asked(accept: str | None, media_type: str, escaping: str) -> None:
    """Of the range that is met, and of a version that knows of them."""
    found = format_of(asking.request(Accept=accept) if accept else asking.request())
    assert found.media_type in (media_type, "text/plain")
    assert found.escaping == escaping
    assert found.content_type.startswith(f"{media_type}; charset=utf-8")


def test_prometheus_is_answered_as_the_official_library_does() -> None:
    """The same header."""
    _, content_type = choose_encoder(PROMETHEUS_3)
    assert format_of(asking.request(Accept=PROMETHEUS_3)).content_type == content_type


@pytest.fixture
def client(own_block: Block) -> testing.TestClient:
    """Of a daemon that has own metrics, one with a name of Prometheus 3."""
    start_worker(own_block)
    store = store_in(own_block)
    families = [store.declare(ORDERS), store.declare(Definition("cart.size", "gauge", "Size.", mode="livesum"))]
    families[0].place(("a",)).add(0, 3)
    place: Any = families[1].place()
    place.set(2)
    parts = SimpleNamespace(
        reader=BlockReader(own_block), settings=asking.settings(created_series=True), kept=(store, families)
    )
    here: Any = SimpleNamespace(parts=parts)
    return testing.TestClient(create_app(here))


def test_whoever_takes_gzip_gets_it(client: testing.TestClient) -> None:
    """Caches are told."""
    plain = client.simulate_get("/metrics")
    packed = client.simulate_get("/metrics", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert 'orders_total{shop="a"} 3.0\n' in gzip.decompress(packed.content).decode()
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept, Accept-Encoding"


def test_names_select_samples(client: testing.TestClient) -> None:
    """hvd's and the app's, by the names of their samples."""
    query = "name[]=orders_total&name[]=hvd_workers&name[]=hvd_http_request_duration_seconds&name[]=cart.size"
    text = client.simulate_get("/metrics", query_string=query).text
    found = {sample.name for family in parse_text(text) for sample in family.samples}
    assert found == {"orders_total", "hvd_workers", "cart_size"}
    assert text.count("# TYPE") == 3
    assert client.simulate_get("/metrics", query_string="name[]=nothing").text == ""


def test_names_are_escaped_as_asked(client: testing.TestClient) -> None:
    """In the scheme of dots, plain names have more underscores too, hvd's as well as the app's."""
    accept = {"Accept": "text/plain;version=1.0.0;escaping=dots"}
    text = client.simulate_get("/metrics", headers=accept).text
    assert 'orders__total{shop="a"} 3.0\n' in text
    assert "# TYPE hvd__workers gauge\nhvd__workers 1\n" in text
    assert "\ncart_dot_size 2.0\n" in text
    whole = client.simulate_get("/metrics", headers={"Accept": "text/plain;version=1.0.0;escaping=allow-utf-8"}).text
    assert '# TYPE "cart.size" gauge\n{"cart.size"} 2.0\n' in whole


def test_openmetrics_says_when_a_series_was_created_where_that_is_set(client: testing.TestClient) -> None:
    """The older format never does."""
    assert 'orders_created{shop="a"} ' in client.simulate_get("/metrics", headers={"Accept": OPENMETRICS}).text
    assert "_created" not in client.simulate_get("/metrics").text
