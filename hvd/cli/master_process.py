"""A daemon's master seen from outside: as whom it runs, with what, whom it has started, and what it logs (proc(5))."""

import contextlib
import os
import re
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hvd.core.proc import is_alive, is_stopped, start_ticks

PARENT = "GUNICORN_PID"
"""In the environment of a master that another one has started at an upgrade: that one's pid (gunicorn 27.0.1)."""


@dataclass(frozen=True)
class MasterProcess:
    """One process, which a pid and its start name."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> "MasterProcess":
        """The process that has the pid now."""
        return cls(pid, start_ticks(pid))

    @property
    def is_alive(self) -> bool:
        return is_alive(self.pid, self.started)

    @property
    def is_stopped(self) -> bool:
        """A signal (SIGSTOP) has stopped it: it takes no other before SIGCONT."""
        return self.is_alive and is_stopped(self.pid)

    @property
    def user(self) -> int:
        """Whose it is; -1 where it is gone."""
        try:
            return self._path("").stat().st_uid
        except OSError:
            return -1

    @property
    def is_first_of_container(self) -> bool:
        """It is the first process of a PID namespace, which ends with it."""
        return self._status("NSpid")[-1:] == ["1"]

    def send(self, signum: int) -> None:
        """Send it a signal, if it still lives. Raises PermissionError."""
        with contextlib.suppress(ProcessLookupError):
            if self.is_alive:
                os.kill(self.pid, signum)

    def environ(self) -> dict[str, str]:
        """The environment with which it was executed; empty where that can't be read, or a library has replaced it."""
        try:
            text = os.fsdecode(self._path("environ").read_bytes())
        except OSError:
            return {}
        pairs = (line.partition("=") for line in text.split("\0") if "=" in line)
        return {name: value for name, _, value in pairs if name}

    def successors(self) -> Iterator[int]:
        """Pids of masters that it has executed for an upgrade, of the same user."""
        for pid in _children(self.pid):
            child = MasterProcess.of(pid)
            if child.user == self.user and child.environ().get(PARENT) == str(self.pid):
                yield pid

    def run(self, command: Sequence[str], environ: Mapping[str, str], timeout: float) -> tuple[int, str, str]:
        """Run a program as its user, in its folder -> exit status, output and complaints.

        It gets neither root's rights nor root's terminal, into which it could type (TIOCSTI).

        Raises OSError, subprocess.TimeoutExpired.
        """
        done = subprocess.run(
            command,
            env=environ,
            cwd=self._path("cwd"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            start_new_session=True,
            **self._identity(),  # type: ignore[call-overload]
        )
        return done.returncode, done.stdout, done.stderr

    def _identity(self) -> dict[str, object]:
        if os.geteuid() != 0:
            return {}
        users, groups, others = (self._status(name) for name in ("Uid", "Gid", "Groups"))
        if not (users and groups):
            raise ProcessLookupError(f"process {self.pid} is gone")
        return {"user": int(users[1]), "group": int(groups[1]), "extra_groups": [*map(int, others)]}

    def _status(self, name: str) -> list[str]:
        with contextlib.suppress(OSError):
            line = re.search(rf"^{name}:(.*)$", self._path("status").read_text(), re.MULTILINE)
            return line[1].split() if line else []
        return []

    def log_size(self) -> int:
        """How long the file is to which it logs on standard error; 0 where that is no file."""
        with contextlib.suppress(OSError):
            status = self._path("fd/2").stat()
            return status.st_size if stat.S_ISREG(status.st_mode) else 0
        return 0

    def log_since(self, size: int, most: int = 64 * 1024) -> list[str]:
        """Lines that have come to that file since it was that long."""
        end = self.log_size()
        begin = max(size, end - most)
        with contextlib.suppress(OSError):
            if end > begin:
                with self._path("fd/2").open("rb") as file:
                    file.seek(begin)
                    return file.read(most).decode(errors="replace").splitlines()
        return []

    def _path(self, name: str) -> Path:
        return Path(f"/proc/{self.pid}", name)


def executed_by(pid: int) -> str:
    """The program of a process, as its first argument names it; "" where that isn't known."""
    with contextlib.suppress(OSError):
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0])
    return ""


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []
