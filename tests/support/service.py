"""A server of other makers beside the daemon in a test: nginx, Prometheus."""

import contextlib
import socket
import subprocess
from pathlib import Path
from typing import Self

import psutil

from tests.support.waiting import PATIENCE, until

STARTS = 5  # a free port can be lost before the server has it


class Service:
    """It listens on a port of its own, and keeps all in a folder of its own. A context manager; nothing of it stays."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / type(self).__name__
        self.folder.mkdir()
        self.address: tuple[str, int] = ("127.0.0.1", 0)
        self._log_path = self.folder / "error.log"
        self._process: subprocess.Popen[bytes] | None = None

    def _command(self) -> list[str]:
        """What starts it, with its configuration written for `address`."""
        raise NotImplementedError

    def _answers(self) -> bool:
        """Whether it is ready. Raises OSError."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            for _ in range(STARTS):
                if self._start():
                    return self
            raise AssertionError(f"{self.folder.name} does not start:\n{self.log}")
        except BaseException:
            self.__exit__()
            raise

    def _start(self) -> bool:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = free.getsockname()
        command = self._command()
        with self._log_path.open("ab") as log:
            self._process = process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

        def state() -> str:
            with contextlib.suppress(OSError):
                return "ended" if process.poll() is not None else "answers" if self._answers() else ""
            return ""

        return until(state, f"{self.folder.name} answers; its log:\n{self.log}", 30) == "answers"

    @property
    def log(self) -> str:
        return self._log_path.read_text(errors="replace") if self._log_path.exists() else ""

    def __exit__(self, *exc: object) -> None:
        if self._process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            processes = [psutil.Process(self._process.pid)]
            processes += processes[0].children(recursive=True)
            self._process.terminate()
            for process in psutil.wait_procs(processes, timeout=20 * PATIENCE)[1]:
                process.kill()
        self._process.wait()
