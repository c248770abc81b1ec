"""What counting tells a row, and when: before the first byte, once, under bounded labels."""

import gc
import inspect
import shutil
import sys
import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import falcon
import pytest
from falcon import testing
from gunicorn.config import Config
from gunicorn.http.wsgi import FileWrapper

from hvd.runtime import Runtime
from hvd.web import counting
from hvd.web.counting import METHODS, OTHER, ROUTE, UNMATCHED, RouteName, counted, finishing
from hvd.web.upgrade import HandedOver


@pytest.fixture(autouse=True, params=["compiled", "Python"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tests run on both forms; where there is no compiler, there is none of the first to be tested."""
    if request.param == "Python":
        monkeypatch.setattr(counting, "compiled", None)
    elif counting.compiled is None:
        assert shutil.which("cc") is None, "there is a compiler, and hvd.web._counting could not be imported"
        pytest.skip("no compiler")


class FakeRow:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.interrupted: tuple[str, str] | None = None

    def begin(self, method: str, path: str) -> None:
        self.calls.append(("begin", method, path))

    def respond(self, method: str, route: str, status: str) -> None:
        self.calls.append(("respond", method, route, status))

    def pass_on(self, method: str, route: str, status: str) -> None:
        self.calls.append(("pass_on", method, route, status))

    def finish(self) -> None:
        self.calls.append(("finish",))


class Server:
    """Calls an app as gunicorn does: start_response is a method of the response, which keeps the status."""

    def __init__(self) -> None:
        self.status = ""

    def start_response(self, status: str, headers: object, exc_info: object = None) -> Callable[[bytes], None]:
        self.status = status
        return lambda data: None

    def call(self, app: Any, method: str = "GET", path: str = "/", route: str | None = None) -> Iterable[bytes]:
        environ = testing.create_environ(path=path, method=method)
        environ["wsgi.file_wrapper"] = FileWrapper
        if route:
            environ[ROUTE] = route
        body: Iterable[bytes] = app(environ, self.start_response)
        return body


@pytest.fixture
def row() -> FakeRow:
    return FakeRow()


@pytest.fixture
def runtime(row: FakeRow) -> Runtime:
    runtime = Runtime()
    runtime.fill(SimpleNamespace(rows=SimpleNamespace(local=SimpleNamespace(row=row))))  # type: ignore[arg-type]
    return runtime


def answering(body: Any, status: str = "200 OK") -> Callable[..., Any]:
    """A WSGI app that answers with this body."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, [])
        return body

    return app


def test_a_list_counts_when_the_app_returns(row: FakeRow, runtime: Runtime) -> None:
    """Falcon's usual body: nothing of it can fail any more; it is passed on untouched."""
    body = [b"hello"]
    assert Server().call(counted(answering(body), runtime), "POST", "/a", "/{name}") is body
    assert row.calls == [("begin", "POST", "/a"), ("respond", "POST", "/{name}", "200")]


def test_a_stream_counts_when_its_first_piece_is_there(row: FakeRow, runtime: Runtime) -> None:
    """Not sooner, since it may fail; not later, since then the byte may have left."""
    closed = []

    class Stream:
        def __iter__(self) -> Iterator[bytes]:
            assert row.calls == [("begin", "GET", "/")]
            yield b"one"
            yield b"two"

        def close(self) -> None:
            closed.append(True)

    pieces = iter(Server().call(counted(answering(Stream()), runtime)))
    assert len(row.calls) == 1
    assert next(pieces) == b"one"
    assert row.calls[1:] == [("respond", "GET", UNMATCHED, "200")]
    assert list(pieces) == [b"two"]
    assert closed == [True]
    assert len(row.calls) == 2


def test_an_empty_stream_counts(row: FakeRow, runtime: Runtime) -> None:
    """Its response has no body, but it is one."""
    assert b"".join(Server().call(counted(answering(iter(())), runtime))) == b""
    assert row.calls[1:] == [("respond", "GET", UNMATCHED, "200")]


def test_a_stream_that_fails_before_its_first_piece_is_left_to_the_server(row: FakeRow, runtime: Runtime) -> None:
    """gunicorn answers 500: that counts, under this request's labels, and no 200 does."""

    def stream() -> Iterator[bytes]:
        raise ValueError("at once")
        yield b""

    body = Server().call(counted(answering(stream()), runtime), "FROB", "/a", "/a")
    with pytest.raises(ValueError, match="at once"):
        next(iter(body))
    assert [call[0] for call in row.calls] == ["begin"]
    assert row.interrupted == (OTHER, "/a")


def test_a_stream_that_cannot_be_read_is_no_lost_client(row: FakeRow, runtime: Runtime) -> None:
    """gunicorn passes over an OSError, as the client's end: the request would get no answer and stay in flight."""

    def stream() -> Iterator[bytes]:
        raise ConnectionResetError("of a backend")
        yield b""

    body = Server().call(counted(answering(stream()), runtime), "GET", "/a", "/a")
    with pytest.raises(RuntimeError) as caught:
        next(iter(body))
    assert isinstance(caught.value.__cause__, ConnectionResetError)
    assert row.interrupted == ("GET", "/a")


def test_a_stream_that_fails_later_has_counted_once(row: FakeRow, runtime: Runtime) -> None:
    """Its status was sent: that is the response which the client has seen."""

    def stream() -> Iterator[bytes]:
        yield b"one"
        raise ValueError("later")

    pieces = iter(Server().call(counted(answering(stream()), runtime)))
    next(pieces)
    with pytest.raises(ValueError, match="later"):
        next(pieces)
    assert [call[0] for call in row.calls] == ["begin", "respond"]
    assert row.interrupted is None


def test_an_exception_that_leaves_the_app_is_left_to_the_server(row: FakeRow, runtime: Runtime) -> None:
    """Whoever answers, or buries the process, finds under which labels it counts."""

    def app(environ: object, start_response: object) -> list[bytes]:
        raise SystemExit(5)

    with pytest.raises(SystemExit):
        Server().call(counted(app, runtime), "GET", "/a", "/a")
    assert row.calls == [("begin", "GET", "/a")]
    assert row.interrupted == ("GET", "/a")


def test_a_socket_handed_over_counts_no_response(row: FakeRow, runtime: Runtime) -> None:
    """The hub counts the 101; gunicorn is told that the connection is over."""

    def app(environ: object, start_response: object) -> list[bytes]:
        raise HandedOver

    with pytest.raises(StopIteration):
        Server().call(counted(app, runtime), "GET", "/ws", "/ws")
    assert row.calls == [("begin", "GET", "/ws"), ("pass_on", "GET", "/ws", "101")]
    assert row.interrupted is None


@pytest.mark.parametrize("method", sorted(METHODS))
def test_standard_methods_are_labels(method: str, row: FakeRow, runtime: Runtime) -> None:
    """Those of RFC 9110, and PATCH."""
    Server().call(counted(answering([]), runtime), method)
    assert row.calls[1] == ("respond", method, UNMATCHED, "200")


@pytest.mark.parametrize("method", ["FROB", "PROPFIND", "X" * 500, "!"])
def test_any_other_method_is_one_label(method: str, row: FakeRow, runtime: Runtime) -> None:
    """What clients make up would have no bound."""
    Server().call(counted(answering([], "400 Bad Request"), runtime), method)
    assert row.calls[1] == ("respond", OTHER, UNMATCHED, "400")


def test_the_route_is_the_template_and_never_the_path(row: FakeRow, runtime: Runtime) -> None:
    """Under a real Falcon app: matched paths share their template, all others share one label."""

    class Item:
        def on_get(self, req: falcon.Request, resp: falcon.Response, number: str) -> None:
            resp.media = number

    app = falcon.App(middleware=[RouteName()])
    app.add_route("/items/{number}", Item())
    application = counted(app, runtime)
    for method, path in (
        ("GET", "/items/1"),
        ("GET", "/items/2"),
        ("GET", "/items"),
        ("GET", "/x"),
        ("PUT", "/items/3"),
    ):
        Server().call(application, method, path)
    assert [call[1:] for call in row.calls if call[0] == "respond"] == [
        ("GET", "/items/{number}", "200"),
        ("GET", "/items/{number}", "200"),
        ("GET", UNMATCHED, "404"),
        ("GET", UNMATCHED, "404"),
        ("PUT", "/items/{number}", "405"),
    ]


def test_the_row_is_that_of_the_calling_thread(runtime: Runtime) -> None:
    """Asked at each request: one app serves all threads of a worker."""
    rows = [FakeRow(), FakeRow()]
    local = SimpleNamespace(row=rows[0])
    runtime.fill(SimpleNamespace(rows=SimpleNamespace(local=local)))  # type: ignore[arg-type]
    application = counted(answering([]), runtime)
    Server().call(application)
    local.row = rows[1]
    Server().call(application)
    assert [len(each.calls) for each in rows] == [2, 2]


@pytest.mark.parametrize(
    ("environ", "interrupted", "calls"),
    [({"PATH_INFO": "/"}, None, [("finish",)]), ({}, None, []), ({"PATH_INFO": "/"}, ("GET", "/a"), [])],
    ids=["served", "never begun", "left by an exception"],
)
def test_a_request_is_finished_once_it_was_served(
    row: FakeRow, runtime: Runtime, environ: object, interrupted: tuple[str, str] | None, calls: object
) -> None:
    """Not one that gunicorn refused before the app, nor one that an exception took the thread out of."""
    row.interrupted = interrupted
    finishing(runtime)(None, None, environ, None)
    assert row.calls == calls


def test_gunicorn_takes_the_hook_for_one_of_four_arguments(row: FakeRow, runtime: Runtime) -> None:
    """It counts the parameters, and wraps a hook that has others (27.0.1, config.validate_post_request)."""
    hook = finishing(runtime)
    assert len(inspect.signature(hook).parameters) == 4
    config = Config()
    config.set("post_request", hook)
    assert config.post_request is hook
    config.post_request(None, None, {"PATH_INFO": "/"}, None)
    assert row.calls == [("finish",)]


@pytest.mark.parametrize("broken", ["begin", "respond"])
def test_what_a_row_raises_comes_through(broken: str, row: FakeRow, runtime: Runtime) -> None:
    """Nothing is swallowed, and nothing served, when counting fails."""

    def fail(*args: object) -> None:
        raise LookupError(broken)

    setattr(row, broken, fail)
    with pytest.raises(LookupError, match=broken):
        Server().call(counted(answering([]), runtime))


def test_the_apps_traceback_is_kept(runtime: Runtime) -> None:
    """What gunicorn logs names the line that failed."""

    def app(environ: object, start_response: object) -> list[bytes]:
        raise KeyError("here")

    with pytest.raises(KeyError) as caught:
        Server().call(counted(app, runtime))
    assert "app" in {frame.name for frame in traceback.extract_tb(caught.value.__traceback__)}


def test_counting_holds_on_to_nothing(runtime: Runtime) -> None:
    """Thousands of requests of every kind leave no object behind; an application that is dropped is freed."""

    class App:
        def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
            if environ["PATH_INFO"] == "/fails":
                raise KeyError
            start_response("200 OK", [])
            return [b""] if environ["PATH_INFO"] == "/list" else iter([b""])

    app = App()
    application, gone = counted(app, runtime), weakref.ref(app)
    hook, server, row = finishing(runtime), Server(), runtime.local.row

    def ask_all(times: int, application: Any = application) -> None:
        for _ in range(times):
            for path in ("/list", "/stream"):
                list(server.call(application, path=path))
                hook(None, None, {"PATH_INFO": path}, None)
            with pytest.raises(KeyError):
                server.call(application, path="/fails")
            row.interrupted = None
            row.calls.clear()  # type: ignore[attr-defined]

    ask_all(50)
    gc.collect()
    before = sys.getallocatedblocks()
    ask_all(2000)
    gc.collect()
    assert sys.getallocatedblocks() - before < 500
    del app, application, ask_all
    gc.collect()
    assert gone() is None
