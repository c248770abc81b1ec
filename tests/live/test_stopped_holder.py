"""A process that is stopped (SIGSTOP) while it holds the block's lock: nobody else stands still."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hvd.core.proc import is_stopped
from tests.support.http import load
from tests.support.server import Server
from tests.support.waiting import PATIENCE, until
from tests.support.ws import RawWebSocket
from tests.unit.core.support import keeping_locked


@contextmanager
def stopped_holder(server: Server) -> Iterator[int]:
    """Somebody who has opened the block, holds its lock, and is stopped."""
    with server.opened() as block, keeping_locked(block) as pid:
        os.kill(pid, signal.SIGSTOP)
        until(lambda: is_stopped(pid), "the holder is stopped")
        yield pid


def test_requests_are_answered_and_a_stop_ends(tmp_path: Path) -> None:
    """New series, new threads, ticks, a death of a worker; and the daemon ends as if nothing were."""
    server = Server(tmp_path, workers=2, threads=4, interval=0.2, graceful_timeout=2)
    with server:
        with stopped_holder(server) as holder:
            start = time.monotonic()
            paths = [f"/status-of/{code}" for code in range(400, 500)]
            assert load(server.address, paths, clients=8, requests=200).responses == 200
            with RawWebSocket(server.address) as client:
                for _ in range(5):
                    client.message()
            assert time.monotonic() - start < 20 * PATIENCE
            until(lambda: server.snapshot()["requests"]["in_flight"] == 1, "only this very request is in progress")
            worker = server.snapshot()["workers"][0]["pid"]
            os.kill(worker, signal.SIGKILL)
            until(lambda: f"process {holder} keeps block" in server.log, "the log names who keeps the lock")
            assert server.get("/health").status == 200
            assert server.stop() == 0
        assert "Traceback" not in server.log
