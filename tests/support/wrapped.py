"""The tests' app behind a middleware that hands it a `start_response` of its own, and an app that nobody counts."""

from collections.abc import Iterable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from tests.support.app import app as inner


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    """A 404 becomes a 503; the inner app is called when the server asks for the first piece."""

    def mine(status: str, headers: Any, *exc_info: Any) -> Any:
        return start_response("503 Later" if status.startswith("404") else status, headers, *exc_info)

    yield from inner(environ, mine)


def bridged(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    """The same, and the inner app gets an environ that has what the server gave, and nothing of hvd."""
    return app({key: value for key, value in environ.items() if not key.startswith("hvd.")}, start_response)


def plain(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Not counted; `/fails` does."""
    if environ["PATH_INFO"] == "/fails":
        raise ValueError("as asked")
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
