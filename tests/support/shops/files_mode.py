"""A shop under gunicorn without hvd, its metrics in prometheus_client's files: the comparison."""

import re
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from tests.support.http import Connection, connect
from tests.support.server import ROOT
from tests.support.service import Service

WORKERS = 4
DEAD = """\
from prometheus_client import multiprocess
def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)
"""


class FilesMode(Service):
    """Its workers write the files into a folder of the test's."""

    def __init__(self, folder: Path, app: str, *arguments: str) -> None:
        super().__init__(folder)
        self._arguments = [*arguments, f"{app}:app"]
        self._files = self.folder / "files"
        self._files.mkdir()
        (self.folder / "gunicorn.conf.py").write_text(DEAD)
        self.environ = {"PROMETHEUS_MULTIPROC_DIR": str(self._files), "PYTHONPATH": str(ROOT)}

    def _command(self) -> list[str]:
        bind = f"127.0.0.1:{self.address[1]}"
        environ = (f"{name}={value}" for name, value in self.environ.items())
        return [
            "/usr/bin/env",
            *environ,
            sys.executable,
            "-m",
            "gunicorn",
            "-b",
            bind,
            "-w",
            str(WORKERS),
            *self._arguments,
        ]

    def _answers(self) -> bool:
        """Once each process that has the app at its beginning has its files."""
        connect(self.address).close()
        return len(list(self._files.glob("counter_*.db"))) >= (1 if "--preload" in self._arguments else WORKERS)

    def read(self) -> str:
        """What the files have, without a request."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._files))
        return generate_latest(registry).decode()

    def get(self, path: str) -> str:
        with Connection(self.address) as connection:
            answer = connection.get(path)
        assert answer.status == 200, answer
        return answer.body.decode()


Families = dict[str, tuple[str, str, tuple[str, ...]]]


def families_of(text: str) -> Families:
    """By name: HELP and TYPE lines, and the samples' lines, sorted; what depends on times and pids left out of these.
    Without families that have no sample, what a registry says of its own process, and times of creation.
    """
    found: dict[str, tuple[str, str, list[str]]] = {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped = line
        elif line.startswith("# TYPE "):
            lines: list[str] = []
            found[line.split(" ")[2]] = helped, line, lines
        else:
            lines.append(_steady(line))
    return {
        name: (helped, typed, tuple(sorted(set(lines))))
        for name, (helped, typed, lines) in found.items()
        if lines and not name.startswith(("process_", "python_")) and not name.endswith("_created")
    }


def _steady(line: str) -> str:
    line = re.sub(r'pid="[0-9]+"', 'pid="N"', line)
    is_bucket = "_bucket{" in line and 'le="+Inf"' not in line
    if "_seconds" in line and (is_bucket or re.search(r"_sum[{ ]", line)):
        line = re.sub(r" [^ ]+$", " N", line)
    return line
