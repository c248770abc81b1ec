"""Workers that serve ASGI apps: what of gunicorn's and uvicorn's they stand on, and signals."""

import inspect
import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.workers import gasgi
from uvicorn.config import Config as UvicornConfig
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn_worker import UvicornH11Worker, UvicornWorker

from hvd.daemon import asgi_workers
from hvd.daemon.asgi_workers import ORPHANED, GunicornAsgi, LoopWorker, UvicornForGunicorn
from hvd.daemon.classes import counting
from hvd.daemon.hooks import compose
from tests.unit.core.support import ended, fork
from tests.unit.instrument.exchange import FakeRow

CLASSES = {gasgi.ASGIWorker: GunicornAsgi, UvicornWorker: UvicornForGunicorn, UvicornH11Worker: UvicornForGunicorn}


@pytest.mark.parametrize(("theirs", "ours"), CLASSES.items())
def test_hvds_goes_before_the_class_and_behind_a_subclass(theirs: type, ours: type) -> None:
    """So that what the user overrides stays in force."""
    order = [base for base in counting(theirs).__mro__ if base in (theirs, ours)]
    assert order == ([theirs, ours] if theirs is UvicornH11Worker else [ours, theirs])


def test_the_servers_have_what_is_replaced_of_them() -> None:
    """Methods and attributes that no documentation promises."""
    assert {"run", "_shutdown", "init_signals", "load_wsgi", "init_process"} <= set(vars(gasgi.ASGIWorker))
    parameters = inspect.signature(gasgi.ASGIProtocol._send_error_response).parameters
    assert list(parameters) == ["self", "status", "message", "extra_headers"]
    assert {"_serve", "run", "callback_notify", "_install_sigquit_handler"} <= set(vars(UvicornWorker))
    assert list(inspect.signature(H11Protocol.send_400_response).parameters) == ["self", "msg"]
    config = UvicornConfig(app=lambda scope: None)
    config.load()
    assert (config.loaded, config.http_protocol_class, config.limit_concurrency) == (True, H11Protocol, None)
    assert callable(config.loaded_app)


@pytest.mark.parametrize(("arguments", "status"), [((414, "too long"), "414"), (("a text",), "400")])
def test_what_a_server_refuses_is_counted(
    arguments: tuple[Any, ...], status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it answers; a failure of the app is not counted twice."""
    row, answered = FakeRow(), []

    class Protocol:
        def refuse(self, *arguments: Any) -> None:
            answered.append((*arguments, len(row.calls)))

    here = SimpleNamespace(rows=SimpleNamespace(entry=lambda: row))
    monkeypatch.setattr(asgi_workers, "counting", here)
    protocol = asgi_workers._counting_refusals(Protocol, "refuse")()
    protocol.refuse(*arguments)
    protocol.refuse(500, "Internal Server Error")
    unparsed = "(unparsed)"
    assert row.calls == [("begin", unparsed, ""), ("respond", unparsed, unparsed, status), ("finish",)]
    assert answered == [(*arguments, 3), (500, "Internal Server Error", 3)]


def test_an_orphan_is_told_to_stop_and_has_some_seconds_for_it() -> None:
    """As its master's SIGTERM would, which leaves it more; it ends though it does not heed that."""

    def work() -> None:
        worker: Any = LoopWorker.__new__(LoopWorker)
        worker.booted = True
        signal.signal(signal.SIGTERM, lambda *_: os._exit(7 if 0 < signal.alarm(0) <= 3 else 8))
        signal.signal(ORPHANED, worker._handle_orphaned)
        os.kill(os.getpid(), ORPHANED)
        signal.pause()

    assert ended(fork(work)) == 7


def test_gunicorns_asgi_worker_calls_no_hook_of_hvds_for_a_request() -> None:
    """A post_request hook makes the next request of a connection wait for the app's background tasks."""

    def mine(worker: Any, request: Any, environ: Any, response: Any) -> None:
        pass

    worker: Any = counting(gasgi.ASGIWorker)
    worker = worker.__new__(worker)
    worker.cfg = Config()
    worker.cfg.set("post_request", mine)
    defaults = worker.cfg.settings["pre_request"].default
    compose(worker.cfg)
    assert (worker.cfg.pre_request, worker.cfg.post_request) != (defaults, mine)
    worker._use_own_hooks()
    assert (worker.cfg.pre_request, worker.cfg.post_request) == (defaults, mine)
