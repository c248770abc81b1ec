"""The service in Bottle: one part is a mounted app."""

from collections.abc import Iterator
from pathlib import Path

import bottle

app, sub = bottle.Bottle(), bottle.Bottle()
STATUSES = {"GET": 200, "HEAD": 200, "POST": 201, "DELETE": 204}


class Part:
    def get(self, n: str) -> str:
        return n


@app.route("/items/<n>", method=["GET", "POST", "DELETE"])
def item(n: str) -> str:
    bottle.response.status = STATUSES[bottle.request.method]
    return n if bottle.response.status_code != 204 else ""


@app.route("/cached/<n>")
def cached(n: str) -> None:
    bottle.response.status = 304


@app.route("/missing/<n>")
def missing(n: str) -> None:
    bottle.abort(404)


@app.route("/boom/<n>")
def boom(n: str) -> None:
    raise RuntimeError(n)


@app.route("/stream/<n>")
def stream(n: str) -> Iterator[str]:
    yield from "abc"


@app.route("/file/<n>")
def file(n: str) -> bottle.HTTPResponse:
    path = Path(__file__)
    return bottle.static_file(path.name, path.parent)


@sub.route("/things/<n>")
def thing(n: str) -> str:
    return n


app.route("/class/<n>", callback=Part().get)
app.mount("/sub/", sub)
