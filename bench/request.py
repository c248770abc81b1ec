"""A hello of a framework under gunicorn, bare, under hvd, and with its usual instrumentation for Prometheus:
CPU time of the workers a request, and requests per second.

`python bench/request.py [falcon|flask|django|fastapi ...] [--rounds N] [--seconds S]`. Load comes from wrk (Debian's
package wrk), in interleaved rounds.
"""

import argparse
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
from rounds import machine, ratio, table

HERE = Path(__file__).parent
WORKERS, THREADS, CONNECTIONS = 2, 4, 8
GTHREAD = ("-k", "gthread", "--threads", str(THREADS))
FRAMEWORKS = {
    "falcon": GTHREAD,
    "flask": GTHREAD,
    "django": GTHREAD,
    "fastapi": ("-k", "uvicorn_worker.UvicornWorker"),
}
"""And gunicorn's options for each."""


# The load generator has a processor of its own: sharing one made the same server's figure vary by 10 %.
CPUS = sorted(os.sched_getaffinity(0))
SERVER_CPUS, LOAD_CPU = CPUS[:-1] or CPUS, CPUS[-1:]


def on(cpus: list[int]) -> list[str]:
    """The start of a command that is to run on these processors."""
    return ["taskset", "-c", ",".join(map(str, cpus))]


class Server:
    """gunicorn with one of the apps of hello.py."""

    def __init__(self, framework: str, kind: str, folder: Path) -> None:
        self.port = _free_port()
        environ = {name: value for name, value in os.environ.items() if not name.startswith("HVD_")}
        app = f"hello:{framework}{'_prometheus' if kind == 'prometheus' else ''}()"
        command = [sys.executable, "-m", "gunicorn", "--chdir", str(HERE), app, "--log-level", "error"]
        command += [*FRAMEWORKS[framework], "-w", str(WORKERS), "--keep-alive", "15"]
        command += ["-b", f"127.0.0.1:{self.port}", "--no-control-socket"]
        if kind == "hvd":
            (folder / "conf.py").write_text("import hvd.gunicorn; hvd.gunicorn.install(globals())\n")
            command += ["-c", str(folder / "conf.py")]
            environ |= {"HVD_INSTANCE": f"bench-{uuid.uuid4().hex[:8]}", "HVD_ADMIN_BIND": f"unix:{folder}/admin.sock"}
        if kind == "prometheus":
            environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        self.process = subprocess.Popen([*on(SERVER_CPUS), *command], env=environ, cwd=folder)
        self.url = f"http://127.0.0.1:{self.port}/hello"

    def wait(self) -> None:
        """Until it answers; RuntimeError after 20 s."""
        for _ in range(400):
            try:
                urllib.request.urlopen(self.url, timeout=1).read()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"{self.url} does not answer")

    def worker_cpu(self) -> int:
        """CPU time in ns of all workers: the kernel's CPU clock of a process, by its pid (clock_getcpuclockid(3))."""
        master = psutil.Process(self.process.pid)
        workers = [child for child in master.children() if child.cmdline() == master.cmdline()]  # no companions
        return sum(time.clock_gettime_ns(~worker.pid << 3 | 2) for worker in workers)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def serving(framework: str, kind: str) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        server = Server(framework, kind, Path(folder))
        try:
            server.wait()
            yield server
        finally:
            server.stop()


def load(server: Server, seconds: float) -> tuple[float, float]:
    """CPU time in µs a request, requests per second."""
    before = server.worker_cpu()
    command = [*on(LOAD_CPU), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", server.url]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    requests, rate = re.search(r"(\d+) requests in", output), re.search(r"Requests/sec:\s+([\d.]+)", output)
    if not requests or not rate or "Non-2xx" in output:
        raise RuntimeError(f"wrk said:\n{output}")
    return (server.worker_cpu() - before) / int(requests[1]) / 1e3, float(rate[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("frameworks", nargs="*", default=list(FRAMEWORKS), metavar="|".join(FRAMEWORKS))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=2, help="of load for each variant in a round")
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("bench/request.py needs the load generator wrk: apt-get install wrk")
    print(machine())
    for framework in given.frameworks:
        with ExitStack() as stack:
            servers = {kind: stack.enter_context(serving(framework, kind)) for kind in ("bare", "hvd", "prometheus")}
            show(framework, measure(servers, given.rounds, given.seconds))


def measure(servers: dict[str, Server], rounds: int, seconds: float) -> dict[str, list[tuple[float, float]]]:
    """What `load` gives of each, round by round."""
    for server in servers.values():
        load(server, 1)
    figures: dict[str, list[tuple[float, float]]] = {kind: [] for kind in servers}
    for turn in range(rounds):
        order = list(servers) if turn % 2 else list(reversed(servers))
        for kind in order:
            figures[kind].append(load(servers[kind], seconds))
    return figures


def show(framework: str, figures: dict[str, list[tuple[float, float]]]) -> None:
    cpu = {kind: [one[0] for one in found] for kind, found in figures.items()}
    rate = {kind: [one[1] for one in found] for kind, found in figures.items()}
    lines = [["", "CPU us a request", "more than bare", "requests/s", "of bare"]]
    for kind in figures:
        more = 100 * (ratio(cpu[kind], cpu["bare"]) - 1)
        lines.append(
            [
                kind,
                f"{statistics.median(cpu[kind]):.1f}",
                f"{more:+.1f} %",
                f"{statistics.median(rate[kind]):.0f}",
                f"{100 * ratio(rate[kind], rate['bare']):.1f} %",
            ]
        )
    print(
        table(
            f"{framework} hello, {WORKERS} workers ({' '.join(FRAMEWORKS[framework])}), {CONNECTIONS} connections",
            lines,
        )
    )


if __name__ == "__main__":
    main()
