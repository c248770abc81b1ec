"""What counting tells a row, and when: before the first byte, once, under bounded labels."""

import gc
import inspect
import re
import sys
import time
import traceback
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from falcon import testing
from gunicorn.config import Config
from gunicorn.workers.gthread import ThreadWorker
from gunicorn.workers.sync import SyncWorker

from hvd.instrument import wsgi
from hvd.instrument.counting import HttpSettings, counting
from hvd.instrument.wsgi import EXCHANGE, METHODS, OTHER, UNMATCHED, counted
from hvd.web.here import Here
from tests.unit.instrument.exchange import FakeRow, Server, answering, loaded, routed

pytestmark = pytest.mark.usefixtures("form")


def test_a_list_counts_when_the_app_returns(row: FakeRow, here: Here) -> None:
    """Falcon's usual body: nothing of it can fail any more; it is passed on untouched."""
    body = [b"hello"]
    assert Server().call(loaded(answering(body, route="/{name}"), here), "POST", "/a") is body
    assert row.calls == [("begin", "POST", "/a"), ("respond", "POST", "/{name}", "200")]


def test_a_stream_counts_when_its_first_piece_is_there(row: FakeRow, here: Here) -> None:
    """Not sooner, since it may fail; not later, since then the byte may have left."""
    closed = []

    class Stream:
        def __iter__(self) -> Iterator[bytes]:
            assert row.calls == [("begin", "GET", "/")]
            yield b"one"
            yield b"two"

        def close(self) -> None:
            closed.append(True)

    body: Any = Server().call(loaded(answering(Stream()), here))
    pieces = iter(body)
    assert len(row.calls) == 1
    assert next(pieces) == b"one"
    assert row.calls[1:] == [("respond", "GET", OTHER, "200")]
    assert list(pieces) == [b"two"]
    body.close()
    body.close()
    assert closed == [True]
    assert len(row.calls) == 2


def test_an_empty_stream_counts(row: FakeRow, here: Here) -> None:
    """Its response has no body, but it is one."""
    assert b"".join(Server().call(loaded(answering(iter(())), here))) == b""
    assert row.calls[1:] == [("respond", "GET", OTHER, "200")]


@pytest.mark.parametrize("error", [ValueError, ConnectionResetError])
def test_a_stream_that_fails_before_its_first_piece_is_left_to_the_server(
    error: type[Exception], row: FakeRow, here: Here
) -> None:
    """gunicorn answers 500: that counts, under this request's labels, and no 200 does.

    It passes over an OSError, as the client's end: the request would get no answer and stay in flight.
    """

    def stream() -> Iterator[bytes]:
        raise error("at once")
        yield b""

    body = Server().call(loaded(answering(stream(), route="/a"), here), "FROB", "/a")
    with pytest.raises(RuntimeError if issubclass(error, OSError) else error) as caught:
        next(iter(body))
    assert error in (type(caught.value), type(caught.value.__cause__))
    assert [call[0] for call in row.calls] == ["begin"]
    assert row.interrupted == (OTHER, "/a")


def test_a_stream_that_fails_later_has_counted_once(row: FakeRow, here: Here) -> None:
    """Its status was sent: that is the response which the client has seen."""

    def stream() -> Iterator[bytes]:
        yield b"one"
        raise ValueError("later")

    pieces = iter(Server().call(loaded(answering(stream()), here)))
    next(pieces)
    with pytest.raises(ValueError, match="later"):
        next(pieces)
    assert [call[0] for call in row.calls] == ["begin", "respond"]
    assert row.interrupted is None


def test_an_exception_that_leaves_the_app_is_left_to_the_server(row: FakeRow, here: Here) -> None:
    """Whoever answers, or reaps the process, finds under which labels it counts."""

    def app(environ: object, start_response: object) -> list[bytes]:
        raise SystemExit(5)

    with pytest.raises(SystemExit):
        Server().call(loaded(routed(app, "/a"), here), "GET", "/a")
    assert row.calls == [("begin", "GET", "/a")]
    assert row.interrupted == ("GET", "/a")


def test_a_socket_handed_over_counts_no_response(row: FakeRow, here: Here) -> None:
    """The hub counts the 101, and here only the duration counts."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ[EXCHANGE].pass_on()
        start_response("101 Switching Protocols", [])
        return []

    server = Server()
    server.call(loaded(routed(app, "/ws"), here), "GET", "/ws")
    server.end()
    assert row.calls == [("begin", "GET", "/ws"), ("pass_on", "GET", "/ws", "101"), ("finish",)]


@pytest.mark.parametrize("method", [*sorted(METHODS), "FROB", "PROPFIND", "X" * 500, "!"])
def test_standard_methods_are_labels(method: str, row: FakeRow, here: Here) -> None:
    """Those of RFC 9110, and PATCH. All others are one label: what clients make up would have no bound."""
    Server().call(loaded(answering([], "400 Bad Request"), here), method)
    assert row.calls[1] == ("respond", method if method in METHODS else OTHER, OTHER, "400")


def test_the_row_is_that_of_the_calling_thread(here: Here) -> None:
    """Asked at each request: one app serves all threads of a worker."""
    rows = [FakeRow(), FakeRow()]
    local = SimpleNamespace(row=rows[0])
    here.local = local  # type: ignore[assignment]
    application = loaded(answering([]), here)
    Server().call(application)
    local.row = rows[1]
    Server().call(application)
    assert [len(each.calls) for each in rows] == [2, 2]


def test_a_request_is_finished_once(row: FakeRow, here: Here) -> None:
    """However often the hook is called."""
    server = Server()
    server.call(loaded(answering([]), here))
    server.end()
    server.end()
    assert [call[0] for call in row.calls] == ["begin", "respond", "finish"]


@pytest.mark.parametrize("environ", [{}, {"PATH_INFO": "/"}])
def test_the_hook_changes_nothing_for_what_was_not_counted(row: FakeRow, environ: dict[str, Any]) -> None:
    """gunicorn failed before the app (an empty environ), or the app isn't counted."""
    server = Server()
    server.environ = environ
    server.end()
    assert row.calls == []


def test_gunicorn_takes_the_hook_for_one_of_four_arguments(row: FakeRow, here: Here) -> None:
    """It counts the parameters, and wraps a hook that has others (27.0.1, config.validate_post_request)."""
    assert len(inspect.signature(wsgi.post_request).parameters) == 4
    config = Config()
    config.set("post_request", wsgi.post_request)
    assert config.post_request is wsgi.post_request


@pytest.mark.parametrize("worker", [SyncWorker, ThreadWorker])
def test_one_environ_goes_to_the_app_and_to_the_hook(worker: Any) -> None:
    """gunicorn keeps it in between (27.0.1); the app is what `load_wsgi` left in `wsgi`."""
    handle = inspect.getsource(worker.handle_request)
    call, hook = "self.wsgi(environ, resp.start_response)", "post_request(self, req, environ, resp)"
    assert handle.index(call) < handle.index(hook)
    assert "self.wsgi = self.app.wsgi()" in inspect.getsource(worker.load_wsgi)


@pytest.mark.parametrize("broken", ["begin", "respond"])
def test_what_a_row_raises_comes_through(broken: str, row: FakeRow, here: Here) -> None:
    """Nothing is swallowed, and nothing served, when counting fails."""

    def fail(*args: object) -> None:
        raise LookupError(broken)

    setattr(row, broken, fail)
    with pytest.raises(LookupError, match=broken):
        Server().call(loaded(answering([]), here))


def test_the_apps_traceback_is_kept(here: Here) -> None:
    """What gunicorn logs names the line that failed."""

    def app(environ: object, start_response: object) -> list[bytes]:
        raise KeyError("here")

    with pytest.raises(KeyError) as caught:
        Server().call(loaded(app, here))
    assert "app" in {frame.name for frame in traceback.extract_tb(caught.value.__traceback__)}


@pytest.mark.parametrize("made", [loaded, counted])
def test_counting_holds_on_to_nothing(made: Any, here: Here) -> None:
    """Thousands of requests of every kind leave no object behind; an application that is dropped is freed."""

    class App:
        def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
            if environ["PATH_INFO"] == "/fails":
                raise KeyError
            start_response("200 OK", [])
            return [b""] if environ["PATH_INFO"] == "/list" else iter([b""])

    app = App()
    application, gone = made(app, here), weakref.ref(app)
    server, row = Server(), here.local.row

    def ask_all(times: int, application: Any = application) -> None:
        for _ in range(times):
            for path in ("/list", "/stream"):
                list(server.call(application, path=path))
                server.end()
            with pytest.raises(KeyError):
                server.call(application, path="/fails")
            server.end()
            row.interrupted = None
            row.calls.clear()  # type: ignore[attr-defined]
            row.noted.clear()  # type: ignore[attr-defined]
            server.statuses.clear()

    ask_all(50)
    gc.collect()
    before = sys.getallocatedblocks()
    ask_all(2000)
    gc.collect()
    assert sys.getallocatedblocks() - before < 500
    server.environ.clear()
    del app, application, ask_all
    gc.collect()
    assert gone() is None


def test_a_route_that_nobody_told_is_looked_for_once(row: FakeRow, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the response counts, in the environ that the app had; one that was told is not looked for."""
    asked: list[str] = []

    def route_of(environ: dict[str, Any]) -> str | None:
        asked.append(environ["PATH_INFO"])
        return "/found" if environ["PATH_INFO"] == "/a" else None

    monkeypatch.setattr(wsgi, "route_of", route_of)
    app = loaded(answering([b""]), here)
    for path in ("/a", "/none"):
        server = Server()
        server.call(app, path=path)
        assert asked[-1] == path
        exchange = server.environ[EXCHANGE]
        server.end()
        assert exchange.route == row.calls[-2][2] == ("/found" if path == "/a" else UNMATCHED)
    Server().call(loaded(answering([b""], route="/b"), here), path="/a")
    assert asked == ["/a", "/none"]
    assert row.calls[-1] == ("respond", "GET", "/b", "200")


@pytest.mark.parametrize("make", [loaded, counted])
def test_a_path_that_is_excluded_passes_uncounted(
    make: Any, row: FakeRow, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole path, with the part of it below which the app is mounted; the app gets what the server gave."""
    monkeypatch.setattr(counting, "settings", HttpSettings(exclude=re.compile("/static/.*|/health")))
    seen: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        seen.append(start_response)
        start_response("200 OK", [])
        return iter([b""])

    server, application = Server(), make(app, here)
    for path in ("/static/a.css", "/health"):
        assert list(server.call(application, path=path)) == [b""]
        assert EXCHANGE not in server.environ
        server.end()
    assert row.calls == []
    assert seen == [server.start_response] * 2
    list(server.call(application, path="/healthy"))
    assert row.calls[0] == ("begin", "GET", "/healthy")
    server.environ = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "/static", "PATH_INFO": "/a"}
    list(application(server.environ, server.start_response))
    assert [call for call in row.calls if call[0] == "begin"] == row.calls[:1]


def test_what_is_kept_beside_count_and_duration(row: FakeRow, here: Here) -> None:
    """Sizes where they are known, how long it has waited for the app, and the type of what the app raised."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/fails":
            raise KeyError
        start_response("200 OK", [("Content-Length", "5")])
        return [b"abc"] if environ["PATH_INFO"] == "/list" else iter([b"x" * 5])

    server, application = Server(), loaded(routed(app, "/a"), here)
    for path in ("/list", "/stream"):
        server.environ = testing.create_environ(path=path, method="POST", body="1234567")
        server.environ["HTTP_X_REQUEST_START"] = f"t={time.time() - 1}"
        list(application(server.environ, server.start_response))
        server.end()
    with pytest.raises(KeyError):
        server.call(application, path="/fails")
    assert row.noted == [
        *[("record",), ("measure", "POST", "/a", 7, 3)],
        *[("record",), ("measure", "POST", "/a", 7, 5)],
        ("add", "GET", "/a", "KeyError"),
    ]
