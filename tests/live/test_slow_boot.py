"""A stop reaches workers that are still booting, wherever they are."""

import signal
from pathlib import Path

import pytest

from tests.support.server import Server
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
