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


ASGI_SHOP = '''\
import json

from fastapi import FastAPI
from fastapi.responses import JSONResponse, StreamingResponse

import tracers

shop = FastAPI()


@shop.get("/items/{number}")
async def item(number: int):
    return {"item": number}


@shop.get("/stream")
def stream():
    return StreamingResponse(piece for piece in ("one", "two"))


@shop.get("/boom")
async def boom():
    raise ValueError("as asked")


@shop.get("/made")
def made():
    return JSONResponse("made", 201)


def telling(traced):
    """`/numbers` goes past the tracers."""
    async def app(scope, receive, send):
        if scope.get("path") == "/numbers":
            await JSONResponse(tracers.numbers())(scope, receive, send)
        else:
            await traced(scope, receive, send)
    return app
'''

ASGI_AROUND = """\
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware

import shop, tracers
from hvd.instrument.asgi import counted_asgi

tracers.begin(auto_enabling_integrations=False)
app = shop.telling(
    SentryAsgiMiddleware(
        OpenTelemetryMiddleware(counted_asgi(shop.shop), tracer_provider=tracers.provider)
    )
)
"""

ASGI_INSIDE = """\
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from sentry_sdk.integrations.fastapi import FastApiIntegration
from sentry_sdk.integrations.starlette import StarletteIntegration

import tracers

tracers.begin(integrations=[StarletteIntegration(), FastApiIntegration()], auto_enabling_integrations=False)

import shop

app = shop.telling(OpenTelemetryMiddleware(shop.shop, tracer_provider=tracers.provider))
"""

FLASK = "-k", "gthread", "--threads", "4"
UVICORN = "-k", "uvicorn_worker.UvicornWorker"
CASES = {
    "flask around": (SHOP, AROUND, FLASK),
    "flask inside": (SHOP, INSIDE, FLASK),
    "fastapi around": (ASGI_SHOP, ASGI_AROUND, UVICORN),
    "fastapi inside": (ASGI_SHOP, ASGI_INSIDE, UVICORN),
}


def by_status(counted: Mapping[tuple[str, int], int]) -> Counter[int]:
    """Of responses by route or path, and status."""
    statuses: Counter[int] = Counter()
    for (_, status), number in counted.items():
        statuses[status] += number
    return statuses


@pytest.mark.parametrize("case", CASES)
def test_all_see_every_request(tmp_path: Path, case: str) -> None:
    """By status; and Sentry the exceptions."""
    shop, text, arguments = CASES[case]
    files = {"tracers.py": TRACERS, "shop.py": shop, "traced.py": text}
    with Guest(
        tmp_path, app="traced:app", files=files, workers=1, arguments=arguments, http_exclude="/numbers"
    ) as guest:
        tally = load(guest.address, PATHS, clients=8, requests=1200)
        seen = by_status(tally.received)
        assert tally.failed.total() <= (seen[500] if arguments is UVICORN else 0)  # it closes the connection then
        assert set(seen) == {200, 201, 404, 500}

        def numbers() -> dict[str, list[int]]:
            answer: dict[str, list[int]] = guest.get("/numbers").json()
            return answer

        until(
            lambda: len(numbers()["sentry"]) == len(numbers()["otel"]) == tally.responses,
            "the tracers have all",
            seconds=20,
        )
        guest.wait_idle()
        told = numbers()
        assert by_status(guest.counted()) == Counter(told["sentry"]) == Counter(told["otel"]) == seen
        assert told["errors"] == ["ValueError"] * seen[500]
