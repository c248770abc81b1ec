"""Frames as text."""

import pytest

import hvd
from hvd.cli.frames import age_text, is_idle, is_of_app, place, request_text, short_place

APP = {"file": "/srv/shop/report.py", "line": 41, "function": "build"}
POOL = {"file": "/usr/lib/python3.11/concurrent/futures/thread.py", "line": 81, "function": "_worker"}
LIBRARY = {"file": "/usr/lib/python3.11/json/decoder.py", "line": 353, "function": "raw_decode"}


@pytest.mark.parametrize(
    "file",
    [
        "/usr/lib/python3.11/json/decoder.py",
        "/root/.pyenv/versions/3.11.7/lib/python3.11/threading.py",
        "/srv/venv/lib/python3.11/site-packages/falcon/app.py",
        "/usr/lib/python3/dist-packages/yaml/__init__.py",
        "<frozen runpy>",
        f"{hvd.__path__[0]}/instrument/wsgi.py",
        "",
    ],
)
def test_libraries_python_and_hvd_are_not_the_app(file: str) -> None:
    """Of no code that is installed an operator asks first."""
    assert not is_of_app({"file": file})
    assert is_of_app(APP)


def test_a_place_has_file_line_and_function() -> None:
    """And nothing that could drive a terminal."""
    assert place(APP) == "/srv/shop/report.py:41 in build"
    assert place({}) == "-:- in -"
    assert "\x1b" not in place({"file": "/\x1b[2J", "line": "x", "function": "\n"})


def test_the_short_place_is_the_app_s_innermost() -> None:
    """The innermost of all where none is the app's."""
    assert short_place([LIBRARY, APP, POOL]) == "report.py:41 build"
    assert short_place([LIBRARY]) == "decoder.py:353 raw_decode"
    assert short_place([]) == short_place(None) == short_place("odd") == ""


def test_a_thread_of_a_pool_that_waits_is_idle() -> None:
    """Not one that serves a request, nor one that is anywhere else."""
    assert is_idle({"frames": [POOL, LIBRARY], "request": None})
    assert not is_idle({"frames": [POOL], "request": {"method": "GET"}})
    assert not is_idle({"frames": [APP, POOL], "request": None})
    assert not is_idle({"frames": []})
    assert not is_idle({})


def test_a_request_has_its_age() -> None:
    """Or a dash where that is missing."""
    assert request_text({"method": "GET", "path": "/slow", "age_seconds": 18.24}) == "GET /slow 18.2s"
    assert request_text({}) == "- - -"
    assert age_text(185.0) == "3m 5s"
