"""The two forms of counting do the same, whatever app, server and client come up with."""

import random
import re
import time
from types import SimpleNamespace
from typing import Any

import pytest

from hvd.instrument import extras, wsgi
from hvd.instrument.counting import HttpSettings, counting
from hvd.instrument.wsgi import EXCHANGE, counted, outermost
from tests.unit.instrument.exchange import FakeRow, fresh


class Text(str):
    """No str itself."""


class Closes:
    """A body whose `close` may fail."""

    def __init__(self, error: type[BaseException] | None) -> None:
        self._error = error

    def __iter__(self) -> Any:
        return iter([b"x", b"y"])

    def close(self) -> None:
        if self._error:
            raise self._error


class Unhashable(str):
    __hash__ = None  # type: ignore[assignment]


METHODS = ["GET", "POST", "frob", Text("PUT"), Unhashable("GET"), b"GET", None, 7, "\ud800", "G" * 100]
PATHS = ["/", "/\u20ac\U0001f600", Text("/x"), b"/", None, 2**70, "\x00"]
STATUSES = [
    *("200 OK", "404", "50", "²00 x", Text("301 M"), b"200 OK", None, 2**70, "\ud800\ud800\ud800", "599\u20ac", ["200"])
]
HEADERS: list[Any] = [
    *([], [], [("Content-Length", "2")], [(b"content-length", 7)], (["CONTENT-LENGTH", "x"],), [("a",)], "ab", None),
    [("Content-Type", "a"), ("Content-Length", "10000")],
]
ERRORS = [ValueError, BrokenPipeError, KeyboardInterrupt, StopIteration, SystemExit]
BODIES = [
    *(
        lambda: [b"x"],
        list,
        lambda: (b"x",),
        lambda: iter([b"x", b"y"]),
        lambda: iter(()),
        lambda: (b"%d" % n for n in (1, 2)),
    ),
    *(
        lambda: None,
        lambda: 7,
        lambda: "text",
        lambda: type("List", (list,), {})([b"x"]),
        lambda: Closes(None),
        lambda: Closes(ValueError),
    ),
    *(lambda: map(int, ["1", "x"]), dict, lambda: [None]),
]
VALUES = [None, 2**70, b"\xff", "\ud800", (n for n in ()), {}]


def copying(app: Any, here: Any) -> Any:
    """A middleware with an environ of its own, and now and then another path."""
    moved = {"PATH_INFO": "/moved"}
    return lambda environ, start_response: app({**fresh(environ), **(moved if "x" in environ else {})}, start_response)


class Scene:
    """A server and an app that do what a seed says, in one form of counting; `log` has all that can be seen of it."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.log: list[object] = []
        self.row = FakeRow()
        here: Any = SimpleNamespace(local=SimpleNamespace(row=self.row))
        app: Any = self._app
        counting.is_server = False
        kinds = self._random.choice([(counted,), (outermost,), (counted, outermost), (counted, copying, outermost)])
        for kind in kinds:
            app = kind(app, here)
        self._application = app
        self._depth = 0

    def _pick(self, things: list[Any]) -> Any:
        return self._random.choice(things)

    def _note(self, call: Any, *arguments: Any, **named: Any) -> Any:
        """Make the call, and log what it gives or raises."""
        try:
            result = call(*arguments, **named)
        except BaseException as error:
            self.log.append(type(error).__name__)
            return None
        self.log.append(result if isinstance(result, bytes | int | None) else "something")
        return result

    def _start_response(self, *arguments: Any, **named: Any) -> Any:
        self.log.append(("start_response", len(arguments), sorted(named)))
        if self._random.random() < 0.05:
            raise ValueError("refused")
        return lambda data: self.log.append(("write", data))

    def _app(self, environ: Any, start_response: Any) -> Any:
        for _ in range(self._random.randint(0, 3)):
            arguments = self._random.choice([2, 2, 2, 2, 1, 3, 0])
            named = {
                name: self._pick(STATUSES) for name in ("status", "headers")[arguments:] if self._random.random() < 0.5
            }
            write = self._note(start_response, *[self._pick(STATUSES), self._pick(HEADERS), None][:arguments], **named)
            if self._random.random() < 0.2:
                self._note(write, self._pick([b"data", None]))
        if self._random.random() < 0.1 and EXCHANGE in environ:
            environ[EXCHANGE].route = self._pick(["/{name}", None])
        if self._random.random() < 0.1:
            self._note(environ[EXCHANGE].pass_on)
        if self._random.random() < 0.2 and self._depth < 2:
            self._depth += 1
            self._note(self._application, fresh(environ), start_response)
        if self._random.random() < 0.15:
            raise self._pick(ERRORS)
        return self._pick(BODIES)()

    def _environ(self) -> dict[str, Any]:
        environ: Any = {
            "REQUEST_METHOD": self._pick(METHODS),
            "PATH_INFO": self._pick(PATHS),
            "x": self._pick(VALUES),
        }
        if self._random.random() < 0.5:
            del environ["x"]
        if self._random.random() < 0.2:
            environ["CONTENT_LENGTH"] = self._pick(["12", "", "x", None, b"3"])
        if self._random.random() < 0.2:
            environ["HTTP_X_REQUEST_START"] = self._pick(["t=1700000000", "x", f"t={time.time() - 1}", ""])
        if self._random.random() < 0.1:
            environ["wsgi.file_wrapper"] = self._pick([Closes, 7, "text"])
        if self._random.random() < 0.1:
            del environ[self._pick(list(environ))]
        if self._random.random() < 0.1:
            environ[EXCHANGE] = self._pick([None, 7, "text", object()])
        return environ

    def play(self) -> list[object]:
        """One request, and another one in the same thread."""
        for _ in range(2):
            environ = self._environ()
            body = self._note(self._application, environ, self._start_response)
            for _ in range(self._random.randint(0, 4)):
                self._note(next, body)
            for _ in range(self._random.randint(0, 2)):
                self._note(getattr(body, "close", int))
            for _ in range(self._random.randint(0, 2)):
                hook = wsgi.compiled.post_request if wsgi.compiled else wsgi.post_request_in_python
                self._note(hook, None, None, self._pick([environ, environ, None, {}]), None)
            exchange: Any = environ.get(EXCHANGE)
            if self._random.random() < 0.2:
                self._note(exchange, "200 OK", [])
            self.log += [self.row.interrupted, self.row.exchange is None, self.row.exchange is exchange]
        return [*self.log, *self.row.calls, *self.row.noted]


def route_of(environ: Any) -> str | None:
    """Where nobody has told one."""
    if environ.get("REQUEST_METHOD") == "frob":
        raise LookupError
    return None if "x" in environ else "/found"


@pytest.mark.parametrize("form", ["compiled"], indirect=True)
def test_both_forms_do_the_same(form: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row, server and app see the same calls, results and types of errors, in thousands of scenes."""
    monkeypatch.setattr(wsgi, "route_of", route_of)
    monkeypatch.setattr(counting, "settings", HttpSettings(exclude=re.compile("/x|/moved")))
    for seed in range(3000):
        compiled = Scene(seed).play()
        with monkeypatch.context() as patch:
            patch.setattr(wsgi, "compiled", None)
            patch.setattr(extras, "measure", extras.measure_in_python)
            assert Scene(seed).play() == compiled, f"seed {seed}"
