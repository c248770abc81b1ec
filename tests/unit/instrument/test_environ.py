"""A counted app that is called with an environ of the caller's own: part of the server's request, or one by itself."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from hvd.instrument.wsgi import OTHER, counted, outermost
from hvd.web.here import Here
from tests.unit.instrument.exchange import FakeRow, Server, answering, fresh, routed, served

pytestmark = pytest.mark.usefixtures("form")


@pytest.mark.parametrize("body_of", [list, iter], ids=["list", "stream"])
def test_a_fresh_environ_changes_nothing(body_of: Any, row: FakeRow, here: Here) -> None:
    """One request, with its route and what the middleware makes of it; complete when the server says so."""
    inner = counted(answering(body_of([b"x"]), route="/a"), here)

    def bridge(environ: Any, start_response: Any) -> Any:
        return inner(fresh(environ), lambda status, headers: start_response("503 Later", headers))

    server = Server()
    assert list(server.call(outermost(bridge, here))) == [b"x"]
    assert row.calls == [("begin", "GET", "/"), ("respond", "GET", "/a", "503")]
    server.end()
    assert row.calls[2:] == [("finish",)]
    assert row.exchange is None


def test_a_part_of_the_path_that_was_taken_off_changes_nothing(row: FakeRow, here: Here) -> None:
    """The caller may have mounted the app, or called it for something else before."""
    inner = counted(lambda *request: answering([b"x"], route=request[0]["PATH_INFO"])(*request), here)

    def mount(environ: Any, start_response: Any) -> Any:
        inner({**fresh(environ), "PATH_INFO": "/warm-up"}, lambda status, headers: None)
        return inner({**fresh(environ), "SCRIPT_NAME": "/shop", "PATH_INFO": "/a"}, start_response)

    server = Server()
    server.call(outermost(counted(mount, here), here), path="/shop/a")
    assert row.calls == [("begin", "GET", "/shop/a"), ("respond", "GET", "/a", "200")]


def test_what_an_app_asks_itself_is_part_of_the_request(row: FakeRow, here: Here) -> None:
    """In an environ made for it: no request of its own, nor its route."""
    other = answering([b"text"], route="/other")

    def batch(environ: Any, start_response: Any) -> list[bytes]:
        parts = [app({**fresh(environ), "PATH_INFO": "/other"}, lambda status, headers: None) for _ in range(2)]
        start_response("207 Multi-Status", [])
        return [b"".join(part) for part in parts]

    first = routed(batch, "/batch")
    app = counted(lambda *request: (other if request[0]["PATH_INFO"] == "/other" else first)(*request), here)
    assert served(outermost(app, here)).sent == [b"text", b"text"]
    assert row.calls == [("begin", "GET", "/"), ("respond", "GET", "/batch", "207"), ("finish",)]


@pytest.mark.parametrize("is_server", [True, False], ids=["hvd", "another server"])
def test_in_a_thread_of_the_callers_it_counts_where_nobody_else_does(is_server: bool, row: FakeRow, here: Here) -> None:
    """In that thread's row, and ends itself; a worker of hvd's has counted it already."""
    own = FakeRow()

    class Local:
        @property
        def row(self) -> FakeRow:
            return row if threading.current_thread() is threading.main_thread() else own

    here.local = Local()  # type: ignore[assignment]
    inner = counted(answering([b"x"], route="/a"), here)

    def bridge(environ: Any, start_response: Any) -> Any:
        bodies: list[Any] = []
        thread = threading.Thread(target=lambda: bodies.append(inner(fresh(environ), start_response)))
        thread.start()
        thread.join()
        return bodies.pop()

    assert served(outermost(bridge, here) if is_server else bridge).sent == [b"x"]
    if is_server:
        assert (row.calls, own.calls) == ([*RESPONSE, ("finish",)], [])
    else:
        assert own.calls == [("begin", "GET", "/"), ("respond", "GET", "/a", "200"), ("finish",)]
        assert row.calls == []
    assert row.exchange is own.exchange is None


RESPONSE = [("begin", "GET", "/"), ("respond", "GET", OTHER, "200")]


def test_a_stream_of_nobody_elses_ends_itself(row: FakeRow, here: Here) -> None:
    """At its end, as many don't close it, or when it is closed; its own body is closed once, whenever that is."""
    closed: list[int] = []

    class Stream(list[bytes]):
        def close(self) -> None:
            closed.append(1)

    body: Any = Server().call(counted(answering(Stream([b"one", b"two"])), here))
    assert next(body) == b"one"
    assert row.calls == RESPONSE
    assert list(body) == [b"two"]
    assert row.calls == [*RESPONSE, ("finish",)]
    body.close()
    body = Server().call(counted(answering(Stream([b"one", b"two"])), here))
    next(body)
    body.close()
    body.close()
    assert row.calls == [*RESPONSE, ("finish",)] * 2
    assert closed == [1, 1]


def test_a_stream_that_was_left_is_none_of_the_next_request(row: FakeRow, here: Here) -> None:
    """Which the row begins, and so gives up the one before; whatever becomes of that, it changes nothing more."""
    left: Any = Server().call(counted(answering(iter([b"one", b"two"])), here))
    next(left)
    body: Any = Server().call(counted(answering(iter([b"three"])), here))
    left.close()
    assert list(body) == [b"three"]
    assert row.calls == [*RESPONSE, *RESPONSE, ("finish",)]


@pytest.mark.parametrize("error", [ZeroDivisionError, BrokenPipeError])
def test_a_failure_that_no_server_answers_is_an_aborted_request(error: Any, row: FakeRow, here: Here) -> None:
    """Of the app, of its stream before the first byte, and after that, when it had a response."""

    def fails(*request: Any) -> Any:
        raise error

    def stream(pieces: list[bytes]) -> Iterator[bytes]:
        yield from pieces
        raise error

    with pytest.raises(error):
        Server().call(counted(fails, here))
    lost = ("finish",) if error is BrokenPipeError else ("abandon", "exception")  # a row finds that it had no response
    assert row.calls == [RESPONSE[0], lost]
    for pieces, end in (([], [RESPONSE[0], ("abandon", "exception")]), ([b"x"], [*RESPONSE, ("finish",)])):
        row.calls.clear()
        body = Server().call(counted(answering(stream(pieces)), here))
        with pytest.raises((error, RuntimeError)):
            list(body)
        assert row.calls == end
        assert row.exchange is row.interrupted is None
