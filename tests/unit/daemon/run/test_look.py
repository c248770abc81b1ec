"""A look at an app, before any worker has it: which interface it has, or one line that says what is wrong."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from gunicorn.util import import_app

from hvd.daemon.run.look import Look, look_at

SHOP = """\
def app(environ, start_response): return []
async def awaited(scope, receive, send): pass
def passing(scope, receive, send): return awaited(scope, receive, send)
import functools
partial = functools.partial(awaited)
def old(scope): return awaited
def create_app(name="shop"): return app
api = dict()
"""
BAD = """\
import shop
def load():
    import flsk
load()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "bad.py").write_text(BAD)
    (tmp_path / "typo.py").write_text("\ndef (")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "look"),
    [
        ("shop:app", Look()),
        ("shop:create_app()", Look()),
        ("shop:awaited", Look(is_asgi=True, is_awaited=True)),
        ("shop:passing", Look(is_asgi=True)),
        ("shop:partial", Look(is_asgi=True)),
    ],
)
def test_the_interface_is_told(name: str, look: Look) -> None:
    """And nothing of the app stays in this process."""
    assert look_at(name, lambda: import_app(name)) == look
    assert "shop" not in sys.modules


def test_a_class_that_was_told_may_know_another_interface() -> None:
    """As uvicorn knows ASGI 2; a factory is none."""
    assert look_at("shop:old", lambda: import_app("shop:old")).trouble
    assert look_at("shop:old", lambda: import_app("shop:old"), any_interface=True) == Look()
    assert look_at("shop:create_app", lambda: import_app("shop:create_app"), any_interface=True).trouble


@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        ("shop:ap", "shop:ap can't be served: module shop has no 'ap'; did you mean app?"),
        ("shop", "shop can't be served: module shop has no 'application'; it has app, api, create_app"),
        ("shop:api", "shop:api can't be served: Application object must be callable."),
        ("shpo:app", "shpo:app can't be served: there is no module 'shpo' in {folder}; did you mean shop?"),
        (
            "bad:app",
            "bad:app can't be imported: ModuleNotFoundError: No module named 'flsk' (bad.py, line 3: import flsk)",
        ),
        ("typo:app", "typo:app can't be imported: SyntaxError: invalid syntax (typo.py, line 2)"),
        (
            "shop:create_app",
            "shop:create_app is no WSGI or ASGI app: it takes no (environ, start_response): is it a factory? "
            "Then name it shop:create_app()",
        ),
    ],
)
def test_what_is_wrong_is_one_line(folder: Path, name: str, trouble: str) -> None:
    """With the place in the user's own code, and what may have been meant."""
    assert look_at(name, lambda: import_app(name)).trouble == trouble.format(folder=folder)


@pytest.mark.parametrize(
    ("load", "trouble"),
    [
        (lambda: sys.exit("no database"), "app can't be imported: SystemExit: no database"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "the process that did so ended, with status 9"),
    ],
)
def test_whatever_ends_the_import_is_told(load: Callable[[], object], trouble: str) -> None:
    """The process that imports it may end in any way."""
    assert trouble in look_at("app", load).trouble
