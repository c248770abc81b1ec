"""Aggregators and workers that take long to boot: it is said, and a stop reaches them."""

import signal
from pathlib import Path

import pytest

from tests.support.server import ROOT, Server
from tests.support.waiting import until

HOOK = """
from hvd.gunicorn_conf import *
import time
def post_fork(server, worker):
    open("booting", "a").close()
    time.sleep(1000)
"""
APP = """
import time
open("booting", "a").close()
time.sleep(1000)
"""


@pytest.mark.parametrize("where", ["hook", "app"])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])
def test_a_stop_does_not_wait_for_a_worker_that_boots(tmp_path: Path, signum: signal.Signals, where: str) -> None:
    """Right after the fork, and while the app is imported; gunicorn would wait for graceful_timeout, and kill it.

    Of a master that is killed the same is true, by the kernel's hand: the next start waits for its workers.
    """
    (tmp_path / "slow_hook.py").write_text(HOOK)
    (tmp_path / "slow_app.py").write_text(APP)
    arguments = ("-c", str(tmp_path / "slow_hook.py")) if where == "hook" else ()
    app = "slow_app:app" if where == "app" else "tests.support.app:app"
    server = Server(tmp_path, arguments=arguments, app=app, workers=1, graceful_timeout=1000)
    server.start(ready=False)
    try:
        until((tmp_path / "booting").exists, f"a worker boots; log:\n{server.log}", 20)
        server.signal(signum)
        assert server.wait() == (-signum if signum == signal.SIGKILL else 0)
        until(lambda: not server.processes(), "its processes end, too")
        assert server.block.exists() == (signum == signal.SIGKILL)
    finally:
        server.destroy()


SHIM = """\
import os, sys, time
while "hvd.agg" in sys.orig_argv and not os.path.exists({go!r}):
    time.sleep(0.01)
"""
"""Makes the aggregator wait until that file is there."""


def test_the_first_answers_say_starting(tmp_path: Path) -> None:
    """And the next ones healthy: nothing is degraded that has not begun."""
    go = tmp_path / "go"
    (tmp_path / "sitecustomize.py").write_text(SHIM.format(go=str(go)))
    with Server(tmp_path, workers=1, environ={"PYTHONPATH": f"{tmp_path}:{ROOT}"}).start(ready=False) as server:
        until(lambda: "Listening at" in server.log, "it listens", 20)
        assert server.get("/health").json()["status"] == "starting"
        go.touch()
        seen: list[str] = []

        def is_healthy() -> bool:
            seen.append(server.get("/health").json()["status"])
            return seen[-1] == "healthy"

        until(is_healthy, "it is healthy", 20, pause=0.005)
        assert set(seen) <= {"starting", "healthy"}
