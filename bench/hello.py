"""The Falcon app that bench/request.py serves three times: bare, counted by hvd, counted by prometheus_client.

`gunicorn hello:bare`, `hello:hvd` (with hvd's gunicorn settings), `hello:prometheus` (PROMETHEUS_MULTIPROC_DIR set).
"""

import time

import falcon


class Hello:
    """`/hello` says so."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.data = b'{"hello":"world"}'


def _app(*middleware: object) -> falcon.App:
    app = falcon.App(middleware=list(middleware))
    app.add_route("/hello", Hello())
    return app


def bare() -> falcon.App:
    """Counts nothing."""
    return _app()


def hvd() -> object:
    """Counted as hvd's own app is."""
    from hvd.instrument.wsgi import counted
    from hvd.runtime import here

    return counted(_app(), here)


class Timed:
    """prometheus_client by Falcon middleware: in flight, route, status and latency, as usual guides do it."""

    def __init__(self) -> None:
        from prometheus_client import Counter, Histogram

        self._requests = Counter("hello_requests", "Requests.", ["method", "route", "status"])
        self._latency = Histogram("hello_latency_seconds", "Latency.", ["method", "route", "status"])

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.start = time.perf_counter()

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        labels = req.method, req.uri_template, str(resp.status_code)
        self._requests.labels(*labels).inc()
        self._latency.labels(*labels).observe(time.perf_counter() - req.context.start)


def prometheus() -> falcon.App:
    """Counted by prometheus_client."""
    return _app(Timed())
