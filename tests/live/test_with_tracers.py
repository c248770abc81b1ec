"""Sentry's SDK and OpenTelemetry's instrumentation of the same app, around hvd's counting and inside of it: all three
see every request, to the number.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.guest import Guest
from tests.support.http import load
from tests.support.waiting import until

PATHS = [*["/items/1", "/items/2"] * 4, "/stream", "/boom", "/nowhere", "/made"]

TRACERS = '''\
import sentry_sdk
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from sentry_sdk.transport import Transport


class Kept(Transport):
    """What Sentry's SDK would send: transactions by status, and errors."""

    def __init__(self):
        super().__init__()
        self.statuses, self.errors = [], []

    def capture_envelope(self, envelope):
        for item in envelope.items:
            if item.type == "transaction":
                data = item.payload.json["contexts"]["trace"]["data"]
                self.statuses.append(data["http.response.status_code"])
            elif item.type == "event":
                self.errors.append(item.payload.json["exception"]["values"][-1]["type"])


kept, exporter, provider = Kept(), InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))


def begin(**options):
    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=kept, traces_sample_rate=1.0, **options)


def numbers():
    spans = [span.attributes for span in exporter.get_finished_spans() if span.kind is SpanKind.SERVER]
    statuses = [span.get("http.status_code") or span["http.response.status_code"] for span in spans]
    return {"sentry": kept.statuses, "errors": kept.errors, "otel": statuses}
'''

SHOP = '''\
import json

from flask import Flask

import tracers

shop = Flask(__name__)


@shop.get("/items/<int:number>")
def item(number):
    return {"item": number}


@shop.get("/stream")
def stream():
    return (piece for piece in ("one", "two"))


@shop.get("/boom")
def boom():
    raise ValueError("as asked")


@shop.get("/made")
def made():
    return "made", 201


def telling(traced):
    """`/numbers` goes past the tracers."""
    def app(environ, start_response):
        if environ["PATH_INFO"] != "/numbers":
            return traced(environ, start_response)
        body = json.dumps(tracers.numbers()).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    return app
'''

AROUND = """\
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware

import shop, tracers
from hvd.runtime import here
from hvd.web.counting import counted

tracers.begin(auto_enabling_integrations=False)
app = shop.telling(
    SentryWsgiMiddleware(
        OpenTelemetryMiddleware(counted(shop.shop, here), tracer_provider=tracers.provider)
    )
)
"""

INSIDE = """\
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from sentry_sdk.integrations.flask import FlaskIntegration

import tracers

tracers.begin(integrations=[FlaskIntegration()], auto_enabling_integrations=False)

import shop

FlaskInstrumentor().instrument_app(shop.shop, tracer_provider=tracers.provider)
app = shop.telling(shop.shop)
"""


def by_status(counted: Mapping[tuple[str, int], int]) -> Counter[int]:
    """Of responses by route or path, and status."""
    statuses: Counter[int] = Counter()
    for (_, status), number in counted.items():
        statuses[status] += number
    return statuses


@pytest.mark.parametrize(("place", "text"), [("around", AROUND), ("inside", INSIDE)])
def test_all_see_every_request_of_a_flask_app(tmp_path: Path, place: str, text: str) -> None:
    """By status; and Sentry the exceptions."""
    files = {"tracers.py": TRACERS, "shop.py": SHOP, f"{place}.py": text}
    settings = {"workers": 1, "arguments": ("-k", "gthread", "--threads", "4"), "http_exclude": "/numbers"}
    with Guest(tmp_path, app=f"{place}:app", files=files, **settings) as guest:  # type: ignore[arg-type]
        tally = load(guest.address, PATHS, clients=8, requests=1200)
        assert not tally.failed
        seen = by_status(tally.received)
        assert set(seen) == {200, 201, 404, 500}

        def numbers() -> dict[str, list[int]]:
            answer: dict[str, list[int]] = guest.get("/numbers").json()
            return answer

        until(lambda: len(numbers()["sentry"]) == len(numbers()["otel"]) == 1200, "the tracers have all", seconds=20)
        guest.wait_idle()
        told = numbers()
        assert by_status(guest.counted()) == Counter(told["sentry"]) == Counter(told["otel"]) == seen
        assert told["errors"] == ["ValueError"] * seen[500]
