"""Shared by tests of counting: a row that notes what it is told, and a server that calls an app as gunicorn does."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from falcon import testing
from gunicorn.http.wsgi import FileWrapper

from hvd.instrument import wsgi
from hvd.instrument.extras import Extras
from hvd.instrument.reports import report_route
from hvd.instrument.wsgi import counted, outermost
from hvd.metrics.table import error_of
from hvd.web.here import Here


class FakeRow:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.noted: list[tuple[Any, ...]] = []
        self.interrupted: tuple[str, str] | None = None
        self.exchange: Any = None

    def begin(self, method: str, path: str = "") -> None:
        self.calls.append(("begin", method, path))

    def respond(self, labels: tuple[str, str, str], error: int) -> None:
        assert error == error_of(labels[-1]), labels
        self.calls.append(("respond", *labels))

    def pass_on(self, labels: tuple[str, str, str]) -> None:
        self.calls.append(("pass_on", *labels))

    def finish(self) -> None:
        self.calls.append(("finish",))

    def abandon(self, cause: str) -> None:
        self.calls.append(("abandon", cause))
        self.interrupted = None

    def measure(self, runs: object, labels: tuple[str, ...], *amounts: int) -> None:
        self.noted.append(("measure", *labels, *amounts))

    def record(self, runs: object, labels: tuple[str, ...], ns: int) -> None:
        self.noted.append(("record", *labels))

    def add(self, offset: Any, by: int) -> None:
        self.noted.append(("add", *offset))


class EachItself(dict[Any, Any]):
    """Runs whose first cell is their labels."""

    def __missing__(self, labels: Any) -> Any:
        return labels


EXTRAS = Extras(SimpleNamespace(runs=defaultdict(EachItself)))  # type: ignore[arg-type]


def loaded(app: Any, here: Here) -> Any:
    """As a worker has what is counted."""
    return outermost(counted(app, here), here)


class Server:
    """Calls an app as gunicorn does, and then its hook, with the environ of the call."""

    def __init__(self) -> None:
        self.environ: dict[str, Any] = {}
        self.statuses: list[object] = []
        self.sent: list[bytes] = []

    def start_response(self, status: str, headers: object, exc_info: Any = None) -> Callable[[bytes], None]:
        if exc_info and self.sent:
            raise exc_info[1]
        self.statuses.append(status)
        return self.sent.append

    def call(self, app: Any, method: str = "GET", path: str = "/") -> Iterable[bytes]:
        self.environ = testing.create_environ(path=path, method=method)
        self.environ["wsgi.file_wrapper"] = FileWrapper
        body: Iterable[bytes] = app(self.environ, self.start_response)
        return body

    def end(self) -> None:
        hook = wsgi.compiled.post_request if wsgi.compiled else wsgi.post_request_in_python
        hook(None, None, self.environ, None)


def answering(body: Any, status: Any = "200 OK", route: str | None = None) -> Callable[..., Any]:
    """A WSGI app that answers with this body."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, [])
        return body

    return routed(app, route) if route else app


def routed(app: Any, route: str) -> Any:
    """`app`, whose every path matches this template."""

    def named(environ: dict[str, Any], start_response: Any) -> Any:
        report_route(environ, route)
        return app(environ, start_response)

    return named


def fresh(environ: Any) -> dict[str, Any]:
    """As a bridge makes it, or who asks the app something of its own: without what only hvd knows."""
    return {key: value for key, value in environ.items() if not key.startswith("hvd.")}


def served(app: Any, method: str = "GET") -> Server:
    """Call `app` as gunicorn does, to the end."""
    server = Server()
    try:
        body: Any = server.call(app, method)
        try:
            server.sent += body
        finally:
            if hasattr(body, "close"):
                body.close()
    finally:
        server.end()
    return server
