"""A file system for shared memory that is nearly full: clear errors, exact totals, no process ended by SIGBUS."""

import subprocess
import sys
from pathlib import Path

from tests.support.http import load
from tests.support.server import Server
from tests.support.waiting import until


def in_small_shm(server: Server, size: str) -> Server:
    """Start it with a /dev/shm of its own, of that size, in a mount namespace of its own."""
    script = f"mount -t tmpfs -o size={size} tmpfs /dev/shm && exec " + " ".join(server.command)
    server.command = ["unshare", "--mount", "sh", "-c", script]
    return server


def test_totals_stay_exact_when_no_series_can_be_added(tmp_path: Path) -> None:
    """Series that find no memory go to the overflow series; no worker dies."""
    server = in_small_shm(Server(tmp_path, workers=2, threads=4, max_series=2000), "4500k")
    with server:
        paths = [f"/status-of/{code}" for code in range(200, 600) if code not in (204, 304)]
        tally = load(server.address, paths, clients=8, requests=4000)
        assert tally.responses == 4000
        until(lambda: server.snapshot()["requests"]["in_flight"] == 1, "nothing but the reader is in flight")
        counted = server.get("/metrics").body.decode()
        assert 'hvd_http_requests_total{method="overflow",route="overflow",status="overflow"}' in counted
        snapshot = server.snapshot()
        assert sum(route["count"] for route in snapshot["routes"]) == snapshot["http_requests"]
        assert snapshot["http_requests"] >= 4000
        assert snapshot["http_errors"] == sum(n for (_, status), n in tally.received.items() if status >= 400)
        assert not [line for line in server.log.splitlines() if "SIGBUS" in line]


def test_no_room_for_a_block_is_a_clear_error(tmp_path: Path) -> None:
    """The start ends with exit status 1 and one line that names the file system."""
    server = in_small_shm(Server(tmp_path), "100k")
    try:
        server.start(ready=False)
        assert server.process is not None
        assert server.process.wait(20) == 1
        assert "hvd: no block can be made in /dev/shm: No space left on device" in server.log
        assert "Traceback" not in server.log
    finally:
        server.destroy()


def test_the_namespace_can_be_made() -> None:
    """These tests need to mount a file system; say so plainly where that isn't allowed."""
    result = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", ""], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"run the tests as root: {result.stderr}"
