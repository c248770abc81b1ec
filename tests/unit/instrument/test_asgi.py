"""What counting an ASGI app tells a row, and when: before the first byte, once, as the server answers."""

import asyncio
import re
import shutil
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from hvd.core.totals import Reader
from hvd.instrument import asgi, asgi_hot
from hvd.instrument.asgi import AsgiServer, CountedAsgi, counted_asgi, gunicorn_server, uvicorn_server
from hvd.instrument.counting import Counting, HttpSettings
from hvd.instrument.wsgi import EXCHANGE, OTHER
from tests.unit.instrument.exchange import EXTRAS, FakeRow

START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
EVENTS: dict[str, Any] = {**START, "headers": [(b"Content-Type", b"text/event-stream; charset=utf-8")]}
PIECE: dict[str, Any] = {"type": "http.response.body", "body": b"x", "more_body": True}
LAST: dict[str, Any] = {"type": "http.response.body", "body": b"x"}
GONE: dict[str, Any] = {"type": "http.disconnect"}

App = Callable[[Any, Any, Any], Awaitable[None]]


class Notes:
    """The row's calls, and in between what reached the server, and connections opened and closed."""

    def __init__(self) -> None:
        self.row = FakeRow()
        self.all = self.row.calls
        self.received: list[dict[str, Any]] = [{"type": "http.request", "body": b""}]

    async def send(self, message: Any) -> None:
        self.all.append(("sent", message["type"]))

    async def receive(self) -> Any:
        return self.received.pop(0)

    def call(
        self, app: App, server: AsgiServer | None = None, kind: str = "http", **scope: Any
    ) -> BaseException | None:
        """Serve one request -> what the app raised."""
        whole: dict[str, Any] = {"type": kind, "path": "/a", "http_version": "1.1", "headers": []}
        whole |= {"method": "GET"} if kind == "http" else {}

        async def run() -> None:
            await counted_asgi(app, server)(whole | scope, self.receive, self.send)

        try:
            asyncio.run(run())
        except BaseException as error:
            return error
        return None

    @property
    def counted(self) -> list[tuple[str, ...]]:
        return [call for call in self.all if call[0] != "sent"]


@pytest.fixture(params=["compiled", "Python"])
def notes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Notes:
    """All tests run on both forms."""
    if request.param == "Python":
        bases = (asgi_hot.HotExchangeInPython,)
        http = type("HttpExchange", bases, {**vars(asgi.HttpExchange)})
        websocket = type("WebSocketExchange", (http,), {**vars(asgi.WebSocketExchange)})
        monkeypatch.setattr(asgi, "_EXCHANGES", {"http": http, "websocket": websocket})
    elif asgi_hot.compiled is None:
        assert shutil.which("cc") is None, "there is a compiler, and hvd.instrument._counting could not be imported"
        pytest.skip("no compiler")
    notes = Notes()

    class Connection:
        def __init__(self, *labels: str) -> None:
            self.labels = labels
            notes.all.append(("open", *labels))

        def close(self) -> None:
            notes.all.append(("close", *self.labels))

    here = SimpleNamespace(
        rows=SimpleNamespace(entry=lambda: notes.row),
        local=SimpleNamespace(row=notes.row),
        settings=HttpSettings(),
        extras=EXTRAS,
        is_server=False,
    )
    monkeypatch.setattr(asgi, "counting", here)
    monkeypatch.setattr(asgi, "Connection", Connection)
    return notes


def sending(*messages: Any, error: BaseException | None = None, hear: bool = False) -> App:
    """An app that hears what there is to be received, sends these messages, and raises."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if hear:
            await receive()
        for message in messages:
            await send(message)
        if error:
            raise error

    return app


BEGIN = ("begin", "GET", "/a")
FINISH = ("finish",)
LEFT = ("abandon", "client_left")


def response(status: str = "200", method: str = "GET") -> tuple[str, ...]:
    return "respond", method, OTHER, status


def test_a_response_counts_before_it_begins_and_ends_with_its_body(notes: Notes) -> None:
    """What the app does after that, as background tasks, is none of the request's."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sending(START, PIECE, LAST)(scope, receive, send)
        notes.all.append(("background",))

    assert notes.call(app) is None
    sent = [("sent", "http.response.body")] * 2
    assert notes.all == [BEGIN, response(), ("sent", "http.response.start"), *sent, FINISH, ("background",)]


def test_a_response_of_one_piece_is_over_as_that_is_passed_on(notes: Notes) -> None:
    """No server waits before it sends that."""
    notes.call(sending(START, LAST))
    sent = ("sent", "http.response.start"), ("sent", "http.response.body")
    assert notes.all == [BEGIN, response(), sent[0], FINISH, sent[1]]


def test_under_gunicorn_it_counts_before_the_body_begins(notes: Notes) -> None:
    """Which is when the first byte leaves; an empty first piece is not sent."""
    empty = PIECE | {"body": b""}
    assert notes.call(sending(START, empty, PIECE, LAST), gunicorn_server()) is None
    names = [call[0] if call[0] != "sent" else call[1].rpartition(".")[2] for call in notes.all]
    assert names == ["begin", "start", "body", "respond", "body", "body", "finish"]


@pytest.mark.parametrize("server", [None, gunicorn_server(), uvicorn_server()])
@pytest.mark.parametrize("messages", [(START, LAST), (START, PIECE), (START, {"type": "http.response.pathsend"})])
def test_other_messages_pass_through(server: AsgiServer | None, messages: Any, notes: Notes) -> None:
    """Hints before, trailers after; a body of whatever kind, and one that the app leaves open."""
    others = {"type": "http.response.informational"}, {"type": "http.response.trailers"}
    assert notes.call(sending(others[0], *messages, others[1]), server) is None
    assert notes.counted == [BEGIN, response(), FINISH]
    assert [call[1] for call in notes.all if call[0] == "sent"] == [
        message["type"] for message in (others[0], *messages, others[1])
    ]


@pytest.mark.parametrize(
    ("messages", "error", "default", "gunicorn", "uvicorn"),
    [
        ((), None, "500", "500", "500"),
        ((), ValueError(), "500", "500", "500"),
        ((), SystemExit(), "exception", "exception", "500"),
        ((), asyncio.CancelledError(), "client_left", "client_left", "500"),
        ((START,), None, "200", "no_response", "200"),
        ((START,), ValueError(), "200", "exception", "200"),
        ((START, PIECE), ValueError(), "200", "200", "200"),
        ((START, PIECE), asyncio.CancelledError(), "200", "200", "200"),
        ((LAST,), ValueError(), "500", "500", "500"),
        ((START, LAST), ValueError(), "200", "200", "200"),
    ],
)
def test_what_is_missing_counts_as_the_server_answers(
    messages: Any, error: Any, default: str, gunicorn: str, uvicorn: str, notes: Notes
) -> None:
    """A status, or the cause under which the request is aborted; what the app raises, its caller gets."""
    for server, outcome in ((None, default), (gunicorn_server(), gunicorn), (uvicorn_server(), uvicorn)):
        notes.all.clear()
        assert notes.call(sending(*messages, error=error), server) is error
        end = [response(outcome), FINISH] if outcome.isdigit() else [("abandon", outcome)]
        assert notes.counted == [BEGIN, *end]


def test_what_gunicorn_cancels_at_its_end_is_told_from_clients_that_left(notes: Notes) -> None:
    """It cancels what is left after graceful_timeout."""
    server = gunicorn_server()
    server.is_ending = True
    notes.call(sending(error=asyncio.CancelledError()), server)
    assert notes.counted == [BEGIN, ("abandon", "cancelled")]


def test_over_http_2_gunicorn_answers_without_a_body(notes: Notes) -> None:
    """It sends the head when the app returns, and 500 where it raises before its body."""
    notes.call(sending(START), gunicorn_server(), http_version="2")
    assert notes.counted == [BEGIN, response(), FINISH]
    notes.all.clear()
    notes.call(sending(START, error=ValueError()), gunicorn_server(), http_version="2")
    assert notes.counted == [BEGIN, response("500"), FINISH]


@pytest.mark.parametrize("server", [None, gunicorn_server(), uvicorn_server()])
@pytest.mark.parametrize("messages", [(), (START, LAST)])
@pytest.mark.parametrize("error", [None, ValueError()])
def test_a_client_that_is_known_to_have_left_gets_no_response(
    error: Any, messages: Any, server: AsgiServer | None, notes: Notes
) -> None:
    """Whatever the app does with that."""
    notes.received = [GONE]
    notes.call(sending(*messages, error=error, hear=True), server)
    assert notes.counted == [BEGIN, LEFT]


def test_a_client_whose_body_is_late_has_not_left(notes: Notes) -> None:
    """gunicorn tells the app the same, and answers; its receiver knows which it is."""

    class BodyReceiver:
        _closed = False

        async def receive(self) -> Any:
            return GONE

    receiver: Any = BodyReceiver()
    notes.receive = receiver.receive  # type: ignore[method-assign]
    notes.call(sending(error=ValueError(), hear=True), gunicorn_server())
    assert notes.counted == [BEGIN, response("500"), FINISH]


def test_a_client_that_leaves_in_the_middle_was_answered(notes: Notes) -> None:
    """Its response counts, and ends when the app does."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await receive()
        await send(PIECE)

    notes.received = [GONE]
    notes.call(app)
    assert notes.counted == [BEGIN, response(), FINISH]


def test_labels_are_bounded(notes: Notes) -> None:
    """Method and status; a path's other characters are shown as the row shows them."""
    notes.call(sending(START | {"status": 7}, LAST), method="BREW", path="/ü")
    assert notes.counted == [("begin", "BREW", "/Ã¼"), response(OTHER, OTHER), FINISH]


def test_an_app_that_another_counted_one_calls_counts_once(notes: Notes) -> None:
    """Sub-apps and middleware; the inner one may say the route."""

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        scope[EXCHANGE].route = "/{letter}"
        await sending(START, LAST)(scope, receive, send)

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        await counted_asgi(inner)(dict(scope), receive, send)

    notes.call(outer)
    assert notes.counted == [BEGIN, ("respond", "GET", "/{letter}", "200"), FINISH]
    again: Any = counted_asgi(inner)
    assert counted_asgi(again) is again
    assert isinstance(counted_asgi(again, uvicorn_server()).app, type(inner))
    assert not isinstance(again.app, CountedAsgi)


def test_what_an_app_asks_itself_is_part_of_the_request(notes: Notes) -> None:
    """Where the server counts all that it serves: another counted app counts none, whatever scope it has."""
    inner = counted_asgi(sending(START, LAST))

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        await inner({**scope, "path": "/b", EXCHANGE: None}, receive, send)
        del scope[EXCHANGE]
        await inner(scope, receive, send)

    notes.call(outer, uvicorn_server())
    assert [call[0] for call in notes.counted] == ["begin", "respond", "finish"]


def test_sizes_queue_time_and_exceptions_are_kept(notes: Notes) -> None:
    """The request's headers, what is known of the body when the response begins, and what the app raises."""
    headers = [(b"content-length", b"7"), (b"X-Request-Start", b"t=%f" % time.time())]
    notes.call(sending(START, LAST, error=KeyError()), headers=headers)
    notes.call(sending(START, LAST, error=asyncio.CancelledError()), gunicorn_server())
    assert notes.row.noted == [
        ("record",),
        ("measure", "GET", OTHER, 7, -1),
        ("add", "GET", OTHER, "KeyError"),
        ("measure", "GET", OTHER, -1, 1),
    ]


def test_headers_that_can_be_read_once_are_left_to_the_server(notes: Notes) -> None:
    """ASGI has any iterable of them."""
    once = iter([(b"content-type", b"text/event-stream")])
    notes.call(sending(START | {"headers": once}, LAST))
    assert len(list(once)) == 1


def test_what_is_excluded_and_lifespan_are_left_alone(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app gets what the server gave."""
    monkeypatch.setattr(asgi.counting, "settings", HttpSettings(exclude=re.compile("/a")))
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((receive, send))

    notes.call(app, kind="lifespan")
    notes.call(app)
    assert seen == [(notes.receive, notes.send)] * 2
    assert notes.all == []


@pytest.mark.parametrize("server", [None, gunicorn_server()])
def test_server_sent_events_are_a_connection_once_they_begin(server: AsgiServer | None, notes: Notes) -> None:
    """No request in progress; open until the stream ends, or the app."""
    for messages in ((EVENTS, PIECE, LAST), (EVENTS, PIECE)):
        notes.all.clear()
        notes.call(sending(*messages), server)
        labels = "sse", OTHER
        assert notes.counted == [BEGIN, response(), FINISH, ("open", *labels), ("close", *labels)]


ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close"}
DENY = {"type": "websocket.http.response.start", "status": 401}


def test_an_accepted_websocket_is_a_connection(notes: Notes) -> None:
    """Its handshake is a request with 101; what is sent and received then is none of ours."""
    notes.received = [{"type": "websocket.connect"}]
    notes.call(sending(ACCEPT, {"type": "websocket.send"}, CLOSE, hear=True), kind="websocket")
    labels = "websocket", OTHER
    assert notes.all[:4] == [BEGIN, response("101"), FINISH, ("open", *labels)]
    assert notes.all[-1] == ("close", *labels)


@pytest.mark.parametrize(
    ("messages", "error", "gunicorn", "uvicorn"),
    [
        ((CLOSE,), None, "403", "403"),
        ((), None, "403", "500"),
        ((), ValueError(), "500", "500"),
        ((DENY,), None, *["401"] * 2),
    ],
)
def test_a_refused_websocket_counts_as_the_client_sees_it(
    messages: Any, error: Any, gunicorn: str, uvicorn: str, notes: Notes
) -> None:
    """By the app, or by the server for it."""
    for server, status in ((gunicorn_server(), gunicorn), (uvicorn_server(), uvicorn)):
        notes.all.clear()
        notes.call(sending(*messages, error=error), server, "websocket")
        assert notes.counted == [BEGIN, response(status), FINISH]


def test_an_app_outside_of_any_server_meets_no_error() -> None:
    """As tests call it; it counts in the process alone."""

    async def run() -> int:
        transport = httpx.ASGITransport(app=counted_asgi(sending(START, LAST)))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return (await client.get("/hello")).status_code

    counting = Counting()
    rules = "hvd.instrument.asgi.counting"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, counting)
        assert asyncio.run(run()) == 200
    assert Reader(counting.rows.block).read().heads.finished == 1
