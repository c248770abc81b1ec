"""Frames as text."""

import inspect
import selectors
import socket
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor

from gunicorn.workers.sync import SyncWorker

from hvd.cli.frames import LOOP, POOL, age_text, idleness, place, request_text, short_place
from hvd.daemon.clients.connections import Connections
from tests.support.waiting import until

APP = {"file": "/srv/shop/report.py", "line": 41, "function": "build"}
POOL_FRAME = {"file": "/usr/lib/python3.11/concurrent/futures/thread.py", "line": 81, "function": "_worker"}
LIBRARY = {"file": "/usr/lib/python3.11/json/decoder.py", "line": 353, "function": "raw_decode"}


def test_a_place_has_file_line_and_function() -> None:
    """And nothing that could drive a terminal."""
    assert place(APP) == "/srv/shop/report.py:41 in build"
    assert place({}) == "-:- in -"
    assert "\x1b" not in place({"file": "/\x1b[2J", "line": "x", "function": "\n"})


def test_the_short_place_is_the_app_s_innermost() -> None:
    """The innermost of all where none is the app's."""
    assert short_place([LIBRARY, APP, POOL_FRAME]) == "report.py:41 build"
    assert short_place([LIBRARY]) == "decoder.py:353 raw_decode"
    assert short_place([]) == short_place(None) == short_place("odd") == ""


def test_a_thread_that_waits_for_work_is_idle() -> None:
    """In a pool, in the loop of a worker; not one that serves a request, nor one that is anywhere else."""
    loop = {"file": "/usr/lib/python3.11/selectors.py", "line": 468, "function": "EpollSelector.select"}
    sync = {"file": "/venv/site-packages/gunicorn/workers/sync.py", "line": 34, "function": "SyncWorker.wait"}
    assert idleness({"frames": [POOL_FRAME, LIBRARY], "request": None}) == POOL
    assert idleness({"frames": [loop]}) == idleness({"frames": [sync]}) == LOOP
    assert not idleness({"frames": [POOL_FRAME], "request": {"method": "GET"}})
    assert not idleness({"frames": [APP, POOL_FRAME], "request": None})
    assert not idleness({"frames": []})
    assert not idleness({})


def test_real_threads_that_wait_are_known() -> None:
    """By the frames that this Python and this gunicorn have."""
    frames: dict[str, list[dict[str, object]]] = {}

    def noted(name: str) -> None:
        stack = traceback.extract_stack(sys._current_frames()[idents[name]])
        frames[name] = [{"file": one.filename, "line": one.lineno, "function": one.name} for one in reversed(stack)]

    idents: dict[str, int] = {}
    reader, writer = socket.socketpair()
    with ThreadPoolExecutor(1) as pool, selectors.DefaultSelector() as selector, reader, writer:
        idents["pool"] = pool.submit(threading.get_ident).result()
        selector.register(reader, selectors.EVENT_READ)
        loop = threading.Thread(target=selector.select)
        loop.start()
        idents["loop"] = loop.ident or 0
        for name, words in (("pool", POOL), ("loop", LOOP)):
            until(lambda name=name, words=words: noted(name) or idleness({"frames": frames[name]}) == words, name)
        writer.send(b"x")
        loop.join()
    assert "select.select" in inspect.getsource(SyncWorker.wait)
    assert "epoll.poll(" in inspect.getsource(Connections.wait)


def test_a_request_has_its_age() -> None:
    """Or a dash where that is missing."""
    assert request_text({"method": "GET", "path": "/slow", "age_seconds": 18.24}) == "GET /slow 18.2s"
    assert request_text({}) == "- - -"
    assert age_text(185.0) == "3m 5s"
