"""Accounts, below /auth."""

import functools
from collections.abc import Callable
from typing import Any

from flask import Blueprint, flash, g, redirect, render_template, request, session, url_for
from werkzeug.security import check_password_hash, generate_password_hash

from .db import get_db

bp = Blueprint("auth", __name__, url_prefix="/auth")


@bp.route("/register", methods=("GET", "POST"))
def register() -> Any:
    if request.method == "POST":
        db = get_db()
        values = request.form["username"], generate_password_hash(request.form["password"], "pbkdf2:sha256:1000")
        try:
            db.execute("INSERT INTO user (username, password) VALUES (?, ?)", values)
            db.commit()
        except db.IntegrityError:
            flash(f"User {values[0]} is already registered.")
        else:
            return redirect(url_for("auth.login"))
    return render_template("auth/form.html", title="Register")


@bp.route("/login", methods=("GET", "POST"))
def login() -> Any:
    if request.method == "POST":
        user = get_db().execute("SELECT * FROM user WHERE username = ?", (request.form["username"],)).fetchone()
        if user is not None and check_password_hash(user["password"], request.form["password"]):
            session.clear()
            session["user_id"] = user["id"]
            return redirect(url_for("index"))
        flash("Incorrect username or password.")
    return render_template("auth/form.html", title="Log In")


@bp.before_app_request
def load_logged_in_user() -> None:
    user_id = session.get("user_id")
    g.user = user_id and get_db().execute("SELECT * FROM user WHERE id = ?", (user_id,)).fetchone()


@bp.route("/logout")
def logout() -> Any:
    session.clear()
    return redirect(url_for("index"))


def login_required(view: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(view)
    def wrapped(**arguments: Any) -> Any:
        return view(**arguments) if g.user else redirect(url_for("auth.login"))

    return wrapped
