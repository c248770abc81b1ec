"""Exporters that people have, beside hvd on one app: what both expose under the exporter's names is the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.support.guest import Guest
from tests.support.waiting import until

UVICORN = ("-k", "uvicorn_worker.UvicornWorker")

FLASK = """
from flask import Flask, abort
from prometheus_flask_exporter import PrometheusMetrics

app = Flask(__name__)
metrics = PrometheusMetrics(app)
app.add_url_rule("/hello", "hello", lambda: "hello")
app.add_url_rule("/post", "post", lambda: ("made", 201), methods=["POST"])
app.add_url_rule("/gone", "gone", lambda: abort(410))
app.add_url_rule("/fails", "fails", lambda: {}["key"])
"""

ROUTES = """
@app.get("/hello")
async def hello():
    return {"text": "hello"}

@app.get("/items/{item}")
async def item(item: int):
    return {"item": item}

@app.post("/post", status_code=201)
async def post():
    return {"made": True}

@app.get("/fails")
async def fails():
    raise KeyError("key")
"""

FASTAPI = f"""
from fastapi import FastAPI
from prometheus_fastapi_instrumentator import Instrumentator

app = FastAPI()
Instrumentator(should_instrument_requests_inprogress=True, excluded_handlers=["/metrics"]).instrument(app).expose(app)
{ROUTES}
"""

STARLETTE = f"""
from fastapi import FastAPI
from starlette_exporter import PrometheusMiddleware, handle_metrics

app = FastAPI()
app.add_middleware(PrometheusMiddleware, skip_paths=["/metrics"])
app.add_route("/metrics", handle_metrics)
{ROUTES}
"""

DJANGO = """
import sys
from django.conf import settings

settings.configure(
    ROOT_URLCONF="shop",
    SECRET_KEY="x",
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=[
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        "django.middleware.common.CommonMiddleware",  # which gives responses their Content-Length
        "django_prometheus.middleware.PrometheusAfterMiddleware",
    ],
)
import django
django.setup()
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from prometheus_client import generate_latest

urlpatterns = [
    path("hello", lambda request: HttpResponse("hello"), name="greeting"),
    path("items/<int:item>", lambda request, item: HttpResponse(str(item)), name="item"),
    path("post", lambda request: HttpResponse("made", status=201)),
    path("fails", lambda request: {}["key"], name="failing"),
]
django_app = get_wsgi_application()

def app(environ, start_response):
    if environ["PATH_INFO"] != "/metrics":
        return django_app(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [generate_latest()]
"""


@dataclass(frozen=True)
class Case:
    """An app with an exporter, the prefix of the names that are compared, and names of theirs that hvd doesn't have.
    `differs` has begins of names, with a label's value, of samples that are others, as docs/presets.md says.
    """

    app: str
    prefix: str
    arguments: tuple[str, ...] = ()
    without: frozenset[str] = frozenset()
    differs: tuple[tuple[str, str], ...] = ()


CASES = {
    "flask": Case(
        FLASK,
        "flask_",
        without=frozenset({"flask_exporter_info"}),
        # paths that no rule matches, which the exporter has as they are
        differs=tuple(("flask_http_request_duration", path) for path in ("/items/3", "/items/4", "(unmatched)")),
    ),
    # the framework sends what follows an exception beyond the exporter's middleware
    "fastapi": Case(FASTAPI, "http_", UVICORN, differs=(("http_response_size_bytes_sum", "/fails"),)),
    "starlette": Case(STARLETTE, "starlette_", UVICORN),
    "django": Case(
        DJANGO,
        "django_http_",
        without=frozenset(
            {
                "django_http_responses_total_by_charset",
                "django_http_responses_total_by_templatename",
                "django_http_responses_streaming",
                "django_http_ajax_requests",
                "django_http_requests_unknown_latency",
                "django_http_requests_unknown_latency_including_middlewares",
                "django_http_responses_body_total_bytes",  # the same, for the page that says 500
            }
        ),
        # the exporter counts the request that fails twice
        differs=(("django_http_requests_latency_seconds_by_view_method", "failing"),),
    ),
}

Found = dict[tuple[str, frozenset[tuple[str, str]]], float]


def found(text: str, case: Case) -> tuple[Mapping[str, str], Found]:
    """Kinds by name of family, and the samples that don't depend on how long something took."""
    families = [family for family in parse(text) if family.name.startswith(case.prefix)]
    families = [
        family for family in families if family.name not in case.without and not family.name.endswith("_created")
    ]
    samples = {
        (sample.name, frozenset(sample.labels.items())): 0 if _is_of_time(sample.name, sample.labels) else sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created")
        and not any(sample.name.startswith(name) and value in sample.labels.values() for name, value in case.differs)
    }
    return {family.name: family.type for family in families if family.samples}, samples


def _is_of_time(name: str, labels: Mapping[str, str]) -> bool:
    is_bucket = name.endswith("_bucket") and labels["le"] != "+Inf"
    return "seconds" in name and (is_bucket or name.endswith("_sum"))


@pytest.mark.parametrize("preset", CASES)
def test_a_preset_exposes_what_the_exporter_does(preset: str, tmp_path: Path) -> None:
    """The same names, kinds, labels and values of them, the same counts, and the same bounds of buckets."""
    case = CASES[preset]
    with Guest(
        tmp_path,
        files={"shop.py": case.app},
        workers=1,
        arguments=case.arguments,
        http_presets=preset,
        http_exclude="/metrics",
    ) as guest:
        for path in ("/hello", "/hello", "/items/3", "/items/4", "/gone", "/fails"):
            guest.get(path)
        with guest.connection() as client:
            assert client.request("POST", "/post", body=b"x" * 100).status == 201
        until(lambda: guest.snapshot()["requests"]["finished"] == 7, "all have ended")
        theirs, ours = (
            found(answer.body.decode(), case) for answer in (guest.get("/metrics"), guest.hvd_get("/metrics"))
        )
    assert ours[0] == theirs[0]
    different = {key for key in ours[1].keys() | theirs[1].keys() if ours[1].get(key) != theirs[1].get(key)}
    assert {key: (ours[1].get(key), theirs[1].get(key)) for key in different} == {}
