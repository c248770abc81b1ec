"""The posts."""

from typing import Any

from flask import Blueprint, abort, g, redirect, render_template, request, url_for

from .auth import login_required
from .db import get_db

bp = Blueprint("blog", __name__)


@bp.route("/")
def index() -> str:
    posts = get_db().execute("SELECT p.*, username FROM post p JOIN user u ON p.author_id = u.id").fetchall()
    return render_template("blog/index.html", posts=posts)


@bp.route("/create", methods=("GET", "POST"))
@login_required
def create() -> Any:
    if request.method == "POST":
        values = request.form["title"], request.form["body"], g.user["id"]
        db = get_db()
        db.execute("INSERT INTO post (title, body, author_id) VALUES (?, ?, ?)", values)
        db.commit()
        return redirect(url_for("blog.index"))
    return render_template("blog/form.html", post={"title": "", "body": ""})


def get_post(id: int) -> Any:
    post = get_db().execute("SELECT * FROM post WHERE id = ?", (id,)).fetchone()
    if post is None:
        abort(404, f"Post id {id} doesn't exist.")
    if post["author_id"] != g.user["id"]:
        abort(403)
    return post


@bp.route("/<int:id>/update", methods=("GET", "POST"))
@login_required
def update(id: int) -> Any:
    post = get_post(id)
    if request.method == "POST":
        db = get_db()
        db.execute(
            "UPDATE post SET title = ?, body = ? WHERE id = ?", (request.form["title"], request.form["body"], id)
        )
        db.commit()
        return redirect(url_for("blog.index"))
    return render_template("blog/form.html", post=post)


@bp.route("/<int:id>/delete", methods=("POST",))
@login_required
def delete(id: int) -> Any:
    get_post(id)
    db = get_db()
    db.execute("DELETE FROM post WHERE id = ?", (id,))
    db.commit()
    return redirect(url_for("blog.index"))
