"""The real daemon for tests: gunicorn in a process of its own, on a port or unix socket of its own."""

import os
import re
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil

from hvd.core.block import Block, open_block
from hvd.core.proc import is_stopped
from hvd.core.slots import Slots
from hvd.read.reading import BlockReader
from hvd.settings.admin_record import read_record
from tests.support.http import Address, Connection, Response
from tests.support.runtime import remove_runtime_folders, runtime_folders
from tests.support.waiting import PATIENCE, until

ROOT = Path(__file__).resolve().parents[2]
SHM = Path("/dev/shm")
ALARMING = re.compile(r"\[(ERROR|CRITICAL|WARNING)\]|Traceback|Exception|error:|Error:|leaked|BufferError")
"""What looks like an error to an operator who reads the log."""
LATENESS = re.compile(r"was sent SIGALRM!|database (is slow to answer|has not answered|is locked)")
"""A worker that has not ended within its seconds, a database that has not answered within its."""


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process stands still meanwhile: SIGSTOP has come to effect."""
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: is_stopped(pid), f"{pid} stands still")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class Server:
    """A daemon. Use it as a context manager: whatever happens, nothing of it stays.

    `settings` are HVD_* variables without the prefix, in lower case (workers=2, threads=4, interval=0.2, ...).
    On leaving without an exception it is stopped by SIGTERM, which must end it cleanly.
    """

    mark = "HVD_INSTANCE"

    def __init__(
        self,
        folder: Path,
        *,
        app: str = "tests.support.app:app",
        bind: str = "127.0.0.1:0",
        instance: str | None = None,
        arguments: tuple[str, ...] = (),
        environ: Mapping[str, str] | None = None,
        **settings: object,
    ) -> None:
        self.folder = folder
        self.instance = instance or f"test-{uuid.uuid4().hex[:12]}"
        self.bind = bind
        self.log_path = folder / f"{self.instance}-{uuid.uuid4().hex[:6]}.log"
        self.command = [sys.executable, "-m", "gunicorn", "-c", "python:hvd.gunicorn_conf", *arguments, app]
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HVD_")},
            "HVD_INSTANCE": self.instance,
            "HVD_BIND": bind,
            "HVD_PING_TIMEOUT": str(20 * PATIENCE),
            "PYTHONPATH": str(ROOT),
            **{f"HVD_{name.upper()}": str(value) for name, value in settings.items()},
            **(environ or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, ready: bool = True) -> Self:
        """Start it; wait until it listens, its workers are up and its aggregator ticks, unless not `ready`."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, env=self._environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        if ready:
            until(self._listens, f"{self.instance} listens; log:\n{self.log}", 20)
            self.wait_ready()
            if self.block.exists():  # it isn't seen here where the daemon has a /dev/shm of its own
                self.wait_idle()
        return self

    def reload(self) -> None:
        """SIGHUP, and wait until as many other workers are there."""
        old = set(self.pids("worker"))
        self.signal(signal.SIGHUP)
        until(lambda: len(new := set(self.pids("worker"))) >= len(old) and not new & old, "all are replaced", 30)

    def refusal(self) -> str:
        """Start it, which is refused with status 1 -> the line that says why; of a daemon alone nothing is left."""
        is_alone = not self.processes()  # no other has the name
        try:
            assert self.start_in_vain() == 1
            (line,) = (line for line in self.log.splitlines() if "[INFO]" not in line)
            assert line.startswith("hvd: ")
            assert not (is_alone and self.block.exists())
            return line
        finally:
            if is_alone:
                self.destroy()

    def start_in_vain(self) -> int:
        """Start it; it is refused, and ends by itself -> its exit status."""
        self.start(ready=False)
        assert self.process is not None
        try:
            return self.wait(30)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()

    def wait(self, seconds: float = 20) -> int:
        """Its exit status, once it has ended; AssertionError if it doesn't in that time."""
        assert self.process is not None
        try:
            return self.process.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"not ended within {seconds * PATIENCE:g} s; its log:\n{self.log}") from None

    def kill_master(self) -> None:
        """SIGKILL for the master, and only for it; wait for its end."""
        self.signal(signal.SIGKILL)
        self.wait()

    def _listens(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.process.returncode}; its log:\n{self.log}")
        return "Listening at" in self.log

    def wait_ready(self, seconds: float = 20) -> None:
        until(self.is_healthy, f"{self.instance} is healthy", seconds)

    def wait_idle(self) -> None:
        """Until no request is in progress: one is for a moment after its client has read the last byte."""
        with self.view() as view:
            until(lambda: not view.totals().heads.in_flight, "no request is in progress")

    def is_healthy(self) -> bool:
        try:
            return bool(self.hvd_get("/health").json()["status"] == "healthy")
        except OSError:
            return False

    @property
    def pid(self) -> int:
        """Of the master that was started; after an upgrade see `masters`."""
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @property
    def alarms(self) -> list[str]:
        """Lines of the log that look like an error; on an overloaded machine those of LATENESS don't."""
        is_overloaded = os.getloadavg()[0] > 4 * (os.cpu_count() or 1)
        lines = [line for line in self.log.splitlines() if ALARMING.search(line)]
        return [line for line in lines if not (is_overloaded and LATENESS.search(line))]

    @property
    def block(self) -> Path:
        return SHM / f"hvd-{self.instance}"

    @property
    def spare(self) -> Path:
        """The block's second name."""
        return SHM / f"hvd-{self.instance}~"

    @property
    def address(self) -> Address:
        if self.bind.startswith("unix:"):
            return self.bind.removeprefix("unix:")
        if not self.bind.endswith(":0"):
            host, _, port = self.bind.rpartition(":")
            return host, int(port)
        found = re.findall(r"Listening at: http://([\d.]+):(\d+)", self.log)
        return found[-1][0], int(found[-1][1])

    @property
    def admin_address(self) -> Address:
        """Where its admin server listens, once it has said so."""

        def address() -> str:
            records = filter(None, map(read_record, runtime_folders(self.instance)))
            return next((record.address for record in records if not record.is_stale), "")

        found = until(address, "the daemon tells its admin address")
        if found.startswith("unix:"):
            return found.removeprefix("unix:")
        host, _, port = found.rpartition(":")
        return host, int(port)

    def admin_get(self, path: str, timeout: float = 30, **headers: str) -> Response:
        """GET from the admin server."""
        with Connection(self.admin_address, timeout) as connection:
            return connection.get(path, **headers)

    def admin_answers(self, seconds: float = 5) -> bool:
        """Whether its admin server does, in that time."""
        try:
            return self.admin_get("/health", timeout=seconds).status > 0
        except OSError:
            return False

    @property
    def url(self) -> str:
        """The address as the command takes it."""
        return self.bind if self.bind.startswith("unix:") else "http://{}:{}".format(*self.address)

    def connection(self, timeout: float = 30) -> Connection:
        return Connection(self.address, timeout)

    def get(self, path: str, **headers: str) -> Response:
        with self.connection() as connection:
            return connection.get(path, **headers)

    def hvd_get(self, path: str, **headers: str) -> Response:
        """GET of what hvd tells."""
        return self.get(path, **headers)

    def snapshot(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.hvd_get("/api/v1/snapshot").json()
        return answer

    def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Samples of /metrics by name and labels, read with the official parser."""
        return _samples(self.hvd_get("/metrics"))

    def admin_metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """The same, from the admin server."""
        return _samples(self.admin_get("/metrics"))

    def sample(self, name: str, **labels: str) -> int:
        """A sample of /metrics; 0 where there is none."""
        return int(self.metrics().get((name, frozenset(labels.items())), 0))

    def samples(self, name: str, *labels: str) -> Counter[tuple[str, ...]]:
        """Those of a metric on /metrics, added up by these labels."""
        found: Counter[tuple[str, ...]] = Counter()
        for (each, pairs), value in self.metrics().items():
            if each == name:
                found[tuple(dict(pairs)[label] for label in labels)] += int(value)
        return found

    def counted(self) -> dict[tuple[str, int], int]:
        """Responses by (route, status), from /metrics."""
        found = self.samples("hvd_http_requests_total", "route", "status")
        return {(route, int(status)): number for (route, status), number in found.items()}

    @contextmanager
    def opened(self) -> Iterator[Block]:
        """The daemon's block, opened here."""
        block = open_block(self.block.name)
        try:
            yield block
        finally:
            os.close(block.fd)

    @contextmanager
    def view(self) -> Iterator[BlockReader]:
        """The daemon's block seen from here: a look that is no request."""
        with self.opened() as block:
            yield BlockReader(block)

    def pids(self, kind: str) -> list[int]:
        """Live processes of a kind (worker, aggregator), from the daemon's own slot table."""
        with self.opened() as block:
            return [slot.pid for slot in Slots(block).taken() if slot.kind_name == kind and slot.pid]

    def in_progress(self) -> list[str]:
        """Paths of the requests in progress, seen from here; without the query."""
        with self.view() as view:
            return [entry.text.partition(" ")[2] for slot in view.totals().slots for entry in slot.busy]

    def processes(self) -> list[psutil.Process]:
        """All processes alive that were started with this instance's name in `mark`, zombies left out."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(self.mark) == self.instance and process.status() != "zombie":
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def signal(self, signum: signal.Signals) -> None:
        os.kill(self.pid, signum)

    def stop(self, seconds: float = 20) -> int:
        """SIGTERM, and its exit status. AssertionError if it has to be killed, or leaves a process or its block."""
        self.signal(signal.SIGTERM)
        status = self.wait(seconds)
        until(lambda: not self.processes(), f"no process of {self.instance} is left", 10)
        for name in (self.block, self.spare):
            assert not name.exists(), f"{name} is left; log:\n{self.log}"
        assert not runtime_folders(self.instance)
        return status

    def stop_successor(self) -> None:
        """SIGTERM for the only master that is left after an upgrade, which ends cleanly."""
        with self.opened() as block:
            (new,) = block.masters()
        os.kill(new, signal.SIGTERM)
        until(lambda: not self.processes(), "the new master ends cleanly", 30)
        assert not self.block.exists()
        assert not runtime_folders(self.instance)

    def destroy(self) -> None:
        """End everything, whatever state it is in."""

        def is_gone() -> bool:
            processes = self.processes()
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            return not processes

        until(is_gone, f"SIGKILL has ended all of {self.instance}")
        if self.process is not None:
            self.wait()
        for name in (self.block, self.spare):
            name.unlink(missing_ok=True)
        remove_runtime_folders(self.instance)

    def __enter__(self) -> Self:
        try:
            return self.start() if self.process is None else self
        except BaseException:
            self.destroy()
            raise

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        try:
            if kind is None and self.process is not None and self.process.poll() is None:
                assert self.stop() == 0, self.log
        finally:
            self.destroy()


S = TypeVar("S", bound=Server)


def _samples(metrics: Response) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    from prometheus_client.parser import text_string_to_metric_families

    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.body.decode())
        for sample in family.samples
    }


def upgradable(server: S) -> S:
    """Started by gunicorn's script: gunicorn executes a new master by its own argv[0], which `-m` spoils.

    (Python then puts gunicorn's own folder first on the path, where a package `http` hides the library's.)
    """
    server.command[:3] = [str(Path(sys.executable).with_name("gunicorn"))]
    return server
