"""`hvd demo`: one command shows hvd with something to see, and leaves nothing."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.http import Connection
from tests.support.server import SHM
from tests.support.waiting import PATIENCE, until


def test_the_demo_has_all_that_there_is_to_see(tmp_path: Path) -> None:
    """Requests, errors, jobs; Ctrl-C, which reaches all of its processes, ends it."""
    log = tmp_path / "log"
    own = {name: text for name, text in os.environ.items() if not name.startswith("HVD_")}
    with log.open("wb") as file:
        demo = subprocess.Popen(
            [str(Path(sys.executable).with_name("hvd")), "demo", "--seconds", "600"],
            env={**own, "TMPDIR": str(tmp_path)},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        page = until(
            lambda: re.search(r"on http://([\d.]+):(\d+); in a terminal", log.read_text()), "it says its page", 20
        )
        shop = re.search(r"hvd.demo.shop:app is on http://([\d.]+):(\d+)", log.read_text())
        assert shop

        def snapshot() -> dict[str, Any]:
            with Connection((page[1], int(page[2])), 30) as connection:
                answer: dict[str, Any] = connection.get("/api/v1/snapshot").json()
                return answer

        def places() -> set[str]:
            requests = snapshot()["longest_requests"]
            return {frame["file"] for request in requests for frame in request["stack"]}

        until(lambda: snapshot()["http_requests"] > 20, "customers come")
        until(lambda: snapshot()["jobs_completed"], "a job is done", 30)
        until(lambda: any(file.endswith("hvd/demo/shop.py") for file in places()), "a slow request has its place", 30)
    finally:
        os.killpg(demo.pid, signal.SIGINT)
        status = demo.wait(30 * PATIENCE)
    assert status == 128 + signal.SIGINT, log.read_text()
    assert "Traceback" not in log.read_text()
    assert not (SHM / f"hvd-{shop[1]}-{shop[2]}").exists()
    assert not list(tmp_path.glob("hvd-demo-*"))
