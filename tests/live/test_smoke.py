"""The daemon starts, counts, answers, and stops without leaving anything."""

import os
from pathlib import Path

from tests.support.server import ROOT, Server
from tests.support.waiting import until
from tests.support.ws import RawWebSocket

SHIM = """\
import os, sys, time
while "hvd.agg" in sys.orig_argv and not os.path.exists({go!r}):
    time.sleep(0.01)
"""
"""Makes the aggregator wait until that file is there."""


def test_numbers_agree_everywhere(tmp_path: Path) -> None:
    """What clients got is what /metrics, /api/v1/snapshot and /ws say."""
    with Server(tmp_path, workers=2, threads=2, interval=0.2) as server:
        for _ in range(10):
            assert server.get("/hello").status == 200
        assert server.counted()["/hello", 200] == 10
        assert server.snapshot()["http_requests"] >= 11
        with RawWebSocket(server.address) as client:
            assert client.status == 101
            assert client.message()["data"]["raw"]["http_requests"] > 0
    assert not server.alarms


def test_the_first_answers_say_starting(tmp_path: Path) -> None:
    """And the next ones healthy: nothing is degraded that has not begun."""
    go, shim = tmp_path / "go", tmp_path / "shim"
    shim.mkdir()
    (shim / "sitecustomize.py").write_text(SHIM.format(go=str(go)))
    server = Server(tmp_path, workers=1, environ={"PYTHONPATH": f"{shim}{os.pathsep}{ROOT}"})
    try:
        server.start(ready=False)
        until(lambda: "Listening at" in server.log, "it listens", 20)
        assert server.get("/health").json()["status"] == "starting"
        go.touch()
        seen: list[str] = []

        def is_healthy() -> bool:
            seen.append(server.get("/health").json()["status"])
            return seen[-1] == "healthy"

        until(is_healthy, "it is healthy", 20, pause=0.005)
        assert set(seen) <= {"starting", "healthy"}
    finally:
        server.destroy()
