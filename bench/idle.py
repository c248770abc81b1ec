"""The idle daemon: CPU use and memory of its aggregator, at the default interval, and memory of its admin server.

`python bench/idle.py [--seconds S] [--workers N]`
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid

import psutil
from rounds import machine, table

SETTLE = 6.0  # s from the start until it idles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HVD_")}
    environ |= {"HVD_BIND": f"127.0.0.1:{port}", "HVD_INSTANCE": f"bench-{uuid.uuid4().hex[:8]}"}
    environ |= {"HVD_WORKERS": str(given.workers), "HVD_LOG_LEVEL": "error"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "gunicorn", "-c", "python:hvd.gunicorn_conf"]
        daemon = subprocess.Popen(command, env=environ, cwd=folder)
        try:
            time.sleep(SETTLE)
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).read()
            measure(daemon.pid, given.seconds, given.workers)
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(30)


def measure(master: int, seconds: float, workers: int) -> None:
    children = psutil.Process(master).children()
    [aggregator] = [child for child in children if "hvd.agg" in child.cmdline()]
    [admin_server] = [child for child in children if "hvd.daemon.admin" in child.cmdline()]
    clock = ~aggregator.pid << 3 | 2  # the kernel's CPU clock of a process, by its pid: clock_getcpuclockid(3)
    before = time.clock_gettime(clock)
    time.sleep(seconds)
    percent = 100 * (time.clock_gettime(clock) - before) / seconds
    memory = aggregator.memory_full_info()
    lines = [
        ["", "measured"],
        ["CPU, percent of a core", f"{percent:.2f}"],
        ["resident, MB", f"{memory.rss / 1e6:.1f}"],
        ["proportional, MB", f"{memory.pss / 1e6:.1f}"],
        ["the admin server's, MB", f"{admin_server.memory_full_info().pss / 1e6:.1f}"],
    ]
    print(machine())
    print(table(f"The aggregator of an idle daemon with {workers} workers, over {seconds:g} s", lines))


if __name__ == "__main__":
    main()
