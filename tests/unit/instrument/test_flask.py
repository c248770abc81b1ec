"""Routes of Flask apps."""

import flask
from flask.views import MethodView
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from hvd.instrument.routes import UNMATCHED, listen
from tests.unit.instrument.frameworks import asked

EXPECTED = {
    "GET /blog/1": (200, "/blog/<int:post>"),
    "HEAD /blog/1": (200, "/blog/<int:post>"),
    "OPTIONS /blog/1": (200, "/blog/<int:post>"),
    "PUT /blog/1": (405, "/blog/<int:post>"),
    "GET /blog/author/ann": (200, "/blog/author/<name>"),
    "GET /blog/nobody": (404, UNMATCHED),
    "GET /static/none.css": (404, "/static/<path:filename>"),
    "GET /folder": (308, UNMATCHED),
}


class Author(MethodView):
    def get(self, name: str) -> str:
        return name


def create_app() -> flask.Flask:
    app = flask.Flask("shop")
    blog = flask.Blueprint("blog", "blog", url_prefix="/blog")
    blog.add_url_rule("/<int:post>", view_func=lambda post: "post", endpoint="post", methods=["GET", "POST"])
    blog.add_url_rule("/author/<name>", view_func=Author.as_view("author"))
    app.register_blueprint(blog)
    app.add_url_rule("/folder/", view_func=lambda: "folder", endpoint="folder")
    return app


def test_the_route_is_the_rule_with_the_prefix_of_its_blueprint() -> None:
    """Also where another method than the request's has it."""
    app = create_app()
    listen()
    assert asked(app, EXPECTED) == EXPECTED


def test_below_a_dispatcher_its_prefix_belongs_to_it() -> None:
    """werkzeug's, which sets SCRIPT_NAME."""
    listen()
    app = DispatcherMiddleware(create_app(), {"/sub": create_app()})
    expected = {
        "GET /sub/blog/1": (200, "/sub/blog/<int:post>"),
        "GET /sub/blog/x": (404, UNMATCHED),
        "GET /blog/1": (200, "/blog/<int:post>"),
    }
    assert asked(app, expected) == expected
