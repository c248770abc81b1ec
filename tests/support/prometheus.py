"""A real Prometheus server for tests: scrapes one daemon, keeps its data in the test's folder, contacts nobody else."""

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.support.http import Connection
from tests.support.service import Service
from tests.support.waiting import PATIENCE

PROMETHEUS, PROMTOOL = "/usr/bin/prometheus", "/usr/bin/promtool"  # Debian's package `prometheus`
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


class Prometheus(Service):
    """One that scrapes the target."""

    def __init__(self, folder: Path, target: tuple[str, int]) -> None:
        super().__init__(folder)
        host, port = target
        (self.folder / "prometheus.yml").write_text(CONFIG.format(interval=SCRAPE_INTERVAL, host=host, port=port))

    def _command(self) -> list[str]:
        return [
            PROMETHEUS,
            f"--config.file={self.folder}/prometheus.yml",
            f"--storage.tsdb.path={self.folder}/data",
            "--storage.tsdb.retention.time=1h",
            f"--web.listen-address=127.0.0.1:{self.address[1]}",
        ]

    def _answers(self) -> bool:
        with Connection(self.address, 5) as connection:
            return connection.get("/-/ready").status == 200

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
