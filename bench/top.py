"""`hvd top` on the full screen: CPU, memory, what goes to the terminal, and the time to the first picture.

`python bench/top.py [--seconds S] [--rate N]`: of a daemon that answers N requests/s, at its default interval.
"""

import argparse
import contextlib
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
import urllib.request
import uuid

import psutil
from rounds import table

SETTLE = 8.0  # s from the start until daemon and screen only go on
SIZES = ((80, 24), (160, 50))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=20)
    given = parser.parse_args()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HVD_")}
    environ |= {"HVD_BIND": url.removeprefix("http://"), "HVD_INSTANCE": f"bench-{uuid.uuid4().hex[:8]}"}
    environ |= {"HVD_WORKERS": "4", "HVD_LOG_LEVEL": "error"}
    over = threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "gunicorn", "-c", "python:hvd.gunicorn_conf"]
        daemon = subprocess.Popen(command, env=environ, cwd=folder)
        try:
            wait(url)
            threading.Thread(target=load, args=(url, given.rate, over)).start()
            rows = [measure(url, columns, lines, given.seconds) for columns, lines in SIZES]
        finally:
            over.set()
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(30)
    head = ["cells", "CPU, percent of a core", "proportional, MB", "kB/s", "first picture, s"]
    print(table("hvd top", [head, *rows]))


def wait(url: str) -> None:
    """Until the daemon answers."""
    while True:
        time.sleep(1)
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{url}/health", timeout=5).read()
            return


def load(url: str, rate: float, over: threading.Event) -> None:
    while not over.wait(1 / rate):
        urllib.request.urlopen(f"{url}/health", timeout=5).read()


def measure(url: str, columns: int, lines: int, seconds: float) -> list[str]:
    """A row of the table."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (lines, columns))
    environ = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    start = time.monotonic()
    command = [sys.executable, "-m", "hvd", "top", "--url", url]
    top = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environ, start_new_session=True)
    try:
        output = b""
        while b"last minute" not in output and b"just now" not in output:
            output += os.read(master, 65_536)
        first = time.monotonic() - start
        drain(master, SETTLE)
        process = psutil.Process(top.pid)
        before = sum(process.cpu_times()[:2])
        written = drain(master, seconds)
        percent = 100 * (sum(process.cpu_times()[:2]) - before) / seconds
        memory = process.memory_full_info().pss / 1e6
    finally:
        top.kill()
        top.wait()
    return [f"{columns} x {lines}", f"{percent:.2f}", f"{memory:.1f}", f"{written / seconds / 1e3:.1f}", f"{first:.2f}"]


def drain(master: int, seconds: float) -> int:
    """How many bytes came meanwhile."""
    deadline, written = time.monotonic() + seconds, 0
    while (left := deadline - time.monotonic()) > 0:
        if select.select([master], [], [], left)[0]:
            written += len(os.read(master, 65_536))
    return written


if __name__ == "__main__":
    main()
