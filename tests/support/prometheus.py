"""A real Prometheus server for tests: scrapes one daemon, keeps its data in the test's folder, contacts nobody else."""

import json
import socket
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.support.http import Connection
from tests.support.waiting import PATIENCE, until

PROMETHEUS, PROMTOOL = "/usr/bin/prometheus", "/usr/bin/promtool"  # Debian's package `prometheus`
STARTS = 5  # a free port can be lost before Prometheus has it
SCRAPE_INTERVAL = 1.0  # s

CONFIG = """\
global:
  scrape_interval: {interval:g}s
  scrape_timeout: {interval:g}s
scrape_configs:
  - job_name: hvd
    static_configs:
      - targets: ["{host}:{port}"]
"""


def check_metrics(text: bytes) -> subprocess.CompletedProcess[str]:
    """What `promtool check metrics` says of an exposition: exit status 0 and no line if there is nothing to say."""
    done = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=text, capture_output=True, timeout=30 * PATIENCE, check=False
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


class Prometheus:
    """A context manager; nothing of it stays."""

    def __init__(self, folder: Path, target: tuple[str, int]) -> None:
        self.folder = folder / "prometheus"
        self.folder.mkdir()
        self.address: tuple[str, int] = ("127.0.0.1", 0)
        self._process: subprocess.Popen[bytes] | None = None
        host, port = target
        (self.folder / "prometheus.yml").write_text(CONFIG.format(interval=SCRAPE_INTERVAL, host=host, port=port))

    def __enter__(self) -> "Prometheus":
        try:
            for _ in range(STARTS):
                if self._start():
                    return self
            raise AssertionError(f"Prometheus does not start:\n{self.log}")
        except BaseException:
            self._stop()
            raise

    def __exit__(self, *exc: object) -> None:
        self._stop()

    def _start(self) -> bool:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = free.getsockname()
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    PROMETHEUS,
                    f"--config.file={self.folder}/prometheus.yml",
                    f"--storage.tsdb.path={self.folder}/data",
                    "--storage.tsdb.retention.time=1h",
                    f"--web.listen-address=127.0.0.1:{self.address[1]}",
                ],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return until(self._ready_or_ended, f"Prometheus is ready; its log:\n{self.log}", 30) == "ready"

    def _ready_or_ended(self) -> str:
        assert self._process is not None
        if self._process.poll() is not None:
            return "ended"
        try:
            with Connection(self.address, 5) as connection:
                return "ready" if connection.get("/-/ready").status == 200 else ""
        except OSError:
            return ""

    @property
    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _get(self, path: str, **parameters: str) -> Any:
        with Connection(self.address) as connection:
            answer = connection.get(f"{path}?{urlencode(parameters)}" if parameters else path)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query, now: {"metric": labels, "value" or "values": ...} for each series."""
        result: list[dict[str, Any]] = self._get("/api/v1/query", query=expression)["result"]
        return result

    def value(self, expression: str) -> float | None:
        """The one value of an instant query; None while there is none."""
        result = self.query(expression)
        assert len(result) < 2, result
        return float(result[0]["value"][1]) if result else None

    def names(self) -> list[str]:
        """The names of all metrics that were ever scraped."""
        found: list[str] = self._get("/api/v1/label/__name__/values")
        return found

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(20 * PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"SIGTERM did not end Prometheus; its log:\n{self.log}") from None
