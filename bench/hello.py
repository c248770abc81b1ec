"""A hello of each framework, as bench/request.py serves it: `hello:flask()` bare or under hvd, and counted as usual,
`hello:flask_prometheus()` (PROMETHEUS_MULTIPROC_DIR set).
"""

import sys
import time
from typing import Any

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
"""What `django-admin startproject` writes."""


def falcon(*middleware: object) -> Any:
    """`/hello` says so."""
    import falcon as framework

    class Hello:
        def on_get(self, req: Any, resp: Any) -> None:
            resp.data = b'{"hello":"world"}'

    app = framework.App(middleware=list(middleware))
    app.add_route("/hello", Hello())
    return app


class Timed:
    """prometheus_client by Falcon middleware: in flight, route, status and latency, as usual guides do it."""

    def __init__(self) -> None:
        from prometheus_client import Counter, Histogram

        self._requests = Counter("hello_requests", "Requests.", ["method", "route", "status"])
        self._latency = Histogram("hello_latency_seconds", "Latency.", ["method", "route", "status"])

    def process_request(self, req: Any, resp: Any) -> None:
        req.context.start = time.perf_counter()

    def process_response(self, req: Any, resp: Any, resource: object, req_succeeded: bool) -> None:
        labels = req.method, req.uri_template, str(resp.status_code)
        self._requests.labels(*labels).inc()
        self._latency.labels(*labels).observe(time.perf_counter() - req.context.start)


def falcon_prometheus() -> Any:
    """Counted by prometheus_client."""
    return falcon(Timed())


def flask() -> Any:
    """The same."""
    from flask import Flask

    app = Flask(__name__)
    app.add_url_rule("/hello", "hello", lambda: {"hello": "world"})
    return app


def flask_prometheus() -> Any:
    """Counted by prometheus-flask-exporter."""
    from prometheus_flask_exporter.multiprocess import GunicornInternalPrometheusMetrics

    app = flask()
    GunicornInternalPrometheusMetrics(app)
    return app


def django(*, is_counted: bool = False) -> Any:
    """The same, with the middleware of a new project."""
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import JsonResponse
    from django.urls import path

    ends = [f"django_prometheus.middleware.Prometheus{name}Middleware" for name in ("Before", "After")]
    settings.configure(
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="hello",
        ROOT_URLCONF="hello",
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", *["django_prometheus"] * is_counted],
        MIDDLEWARE=[ends[0], *MIDDLEWARE, ends[1]] if is_counted else MIDDLEWARE,
    )
    sys.modules["hello"].urlpatterns = [path("hello", lambda request: JsonResponse({"hello": "world"}))]  # type: ignore[attr-defined]
    return get_wsgi_application()


def django_prometheus() -> Any:
    """Counted by django-prometheus."""
    return django(is_counted=True)


def fastapi() -> Any:
    """The same."""
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/hello")
    async def hello() -> dict[str, str]:
        return {"hello": "world"}

    return app


def fastapi_prometheus() -> Any:
    """Counted by prometheus-fastapi-instrumentator."""
    from prometheus_fastapi_instrumentator import Instrumentator

    app = fastapi()
    Instrumentator().instrument(app).expose(app)
    return app
