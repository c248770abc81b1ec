"""The service in Flask: one part is a blueprint, one an app below a dispatcher."""

from collections.abc import Iterator
from typing import Any

import flask
from flask.views import MethodView
from werkzeug.middleware.dispatcher import DispatcherMiddleware

app, sub, blueprint = flask.Flask("shop"), flask.Flask("sub"), flask.Blueprint("parts", "parts", url_prefix="/class")
STATUSES = {"GET": 200, "HEAD": 200, "POST": 201, "DELETE": 204}


class Part(MethodView):
    def get(self, n: str) -> str:
        return n


@app.route("/items/<n>", methods=["GET", "POST", "DELETE"])
def item(n: str) -> tuple[str, int]:
    return n, STATUSES[flask.request.method]


@app.route("/cached/<n>")
def cached(n: str) -> tuple[str, int]:
    return "", 304


@app.route("/missing/<n>")
def missing(n: str) -> None:
    flask.abort(404)


@app.route("/boom/<n>")
def boom(n: str) -> None:
    raise RuntimeError(n)


@app.route("/stream/<n>")
def stream(n: str) -> Iterator[str]:
    yield from "abc"


@app.route("/file/<n>")
def file(n: str) -> flask.Response:
    return flask.send_file(__file__)


@sub.route("/things/<n>")
def thing(n: str) -> str:
    return n


blueprint.add_url_rule("/<n>", view_func=Part.as_view("part"))
app.register_blueprint(blueprint)
dispatcher: Any = DispatcherMiddleware(app.wsgi_app, {"/sub": sub})
app.wsgi_app = dispatcher  # type: ignore[method-assign]
