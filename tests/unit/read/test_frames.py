"""Frames: whose they are, and where a thread stands."""

import threading

import pytest

import hvd
from hvd.read.frames import Frame, app_frame, describe, is_of_app, is_waiting_loop


@pytest.mark.parametrize(
    "file",
    [
        "/usr/lib/python3.11/json/decoder.py",
        "/opt/python/3.11.7/lib/python3.11/threading.py",
        "/srv/venv/lib/python3.11/site-packages/falcon/app.py",
        "/usr/lib/python3/dist-packages/yaml/__init__.py",
        "<frozen runpy>",
        f"{hvd.__path__[0]}/instrument/wsgi.py",
        "",
    ],
)
def test_libraries_python_and_hvd_are_not_the_app(file: str) -> None:
    """Of no code that is installed an operator asks first."""
    assert not is_of_app(file)
    assert is_of_app("/srv/shop/report.py")


def test_the_frame_of_the_app_is_named() -> None:
    """Then the one in which it stands; a library's where the app has none."""
    library: Frame = {"file": threading.__file__, "line": 1, "function": "wait"}
    app: Frame = {"file": "/srv/shop/views.py", "line": 12, "function": "checkout"}
    frames = [library, app]
    assert app_frame(frames) == app
    assert describe(frames) == f"/srv/shop/views.py:12 checkout, in {threading.__file__}:1 wait"
    assert describe(frames[1:]) == "/srv/shop/views.py:12 checkout"
    assert describe(frames[:1]) == f"{threading.__file__}:1 wait"
    assert (app_frame(()), describe(())) == (None, "")
    own: Frame = {"file": describe.__code__.co_filename, "line": 1, "function": "describe"}
    assert app_frame([own, library, app]) == app


def test_a_loop_that_waits_is_told_from_a_thread_that_does() -> None:
    """asyncio's has a selector innermost, uvloop's no frame of its own; who selects elsewhere waits for something."""
    selector, base, runner, app = (
        Frame(file=file, line=1, function="f")
        for file in ("/p/selectors.py", "/p/asyncio/base_events.py", "/p/asyncio/runners.py", "/srv/app.py")
    )
    assert is_waiting_loop([selector, base, runner])
    assert is_waiting_loop([runner, app])
    for frames in ([], [selector], [selector, app], [app, base, runner], [base, runner]):
        assert not is_waiting_loop(frames)
