"""A Debian system that has booted: systemd, journal, users, services, and no network but its own loopback.

It is a container of systemd-nspawn on an overlay of one of `tests.support.debian`'s systems, in memory and in a mount
namespace of its own: what it writes is gone with it. As root.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from tests.support.debian import base, wheels
from tests.support.waiting import PATIENCE, until

CLONE_NEWNET = 0x40000000
SIGRTMIN = 34
START = """
mount -t tmpfs -o size=4g hvd-booted "$2" && mkdir "$2/upper" "$2/work" "$2/root" || exit 1
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root" || exit 1
root=$2/root; shift 2
while true; do
    setpriv --pdeathsig TERM systemd-nspawn --quiet --boot --register=no --keep-unit --private-network --console=pipe \\
        "$@" --directory "$root"
    [ $? = 133 ] || exit 0
done
"""
PIP = """[global]
no-index = true
find-links = /wheels/0 /wheels/1
disable-pip-version-check = true
root-user-action = ignore
"""


@contextlib.contextmanager
def in_network(pid: int) -> Iterator[None]:
    """Sockets that this thread, or a thread started by it, makes meanwhile are in the network of that process."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as own, open(f"/proc/{pid}/ns/net") as its:
        if libc.setns(its.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(own.fileno(), CLONE_NEWNET)


class System:
    """A booted system; a context manager. `pid` is that of its init, as this machine sees it."""

    def __init__(self, suite: str = "bookworm", binds: Mapping[Path, str] = {}, has_wheels: bool = True) -> None:
        """`binds`: folders of this machine, and where they stand in the system, read-only; hvd's wheels besides."""
        self._lower = base(suite)
        folders = {
            folder: f"/wheels/{index}" for index, folder in enumerate(wheels(suite) if has_wheels else ())
        } | dict(binds)
        self._binds = [f"--bind-ro={folder}:{place}" for folder, place in folders.items()]
        self._place = tempfile.mkdtemp(prefix="hvd-booted-")
        self._console = tempfile.TemporaryFile()  # noqa: SIM115 it is closed at the exit
        self._shell: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def __enter__(self) -> Self:
        # Debian 13's systemd starts under no cgroup v1; the container dies with the process that runs the test.
        command = ("setpriv", "--pdeathsig", "TERM", "unshare", "--mount", "--propagation", "private")
        self._shell = subprocess.Popen(
            (*command, "sh", "-c", START, "sh", str(self._lower), self._place, *self._binds),
            stdin=subprocess.DEVNULL,
            stdout=self._console,
            stderr=self._console,
            env=os.environ | {"UNIFIED_CGROUP_HIERARCHY": "1"},
            start_new_session=True,
        )
        try:
            self._wait_until_booted()
            self.write("/etc/pip.conf", PIP)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *args: object) -> None:
        assert self._shell
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, SIGRTMIN + 4) if self.pid else self._shell.terminate()
        try:
            self._shell.wait(15 * PATIENCE)
        except subprocess.TimeoutExpired:
            self._shell.terminate()  # which is systemd-nspawn's end, and its init is killed with it
            self._shell.wait()
        self._console.close()
        os.rmdir(self._place)

    def console(self) -> str:
        """What the system has written while it booted and halted."""
        self._console.seek(0)
        return self._console.read().decode(errors="replace")

    def run(
        self, command: str, *, check: bool = True, user: str = "root", text: str = "", seconds: float = 60
    ) -> "subprocess.CompletedProcess[str]":
        """A line for the shell, in the system, with `text` as its input; AssertionError with its output if it fails."""
        login = f"env -i HOME=/ PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin runuser -u {user} --"
        enter = ("nsenter", "--target", str(self.pid), "--all", *login.split(), "sh", "-ec", command)
        done = subprocess.run(
            enter, input=text, capture_output=True, text=True, timeout=seconds * PATIENCE, check=False
        )
        failed = f"{command}: {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        assert not check or done.returncode == 0, failed
        return done

    def out(self, command: str, **how: Any) -> str:
        """What such a line prints, stripped."""
        return self.run(command, **how).stdout.strip()

    def path(self, path: str) -> Path:
        """The same file, as this machine sees it; until the next reboot. Absolute links lead astray."""
        return Path(f"/proc/{self.pid}/root{path}")

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """A file of root's, and the folders that it stands in."""
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def journal(self, unit: str, *options: str) -> str:
        """What the journal has of a unit, each message alone."""
        return self.out(f"journalctl --unit {unit} --output cat --no-pager {' '.join(options)}")

    def reboot(self) -> None:
        """Stop it as its own `reboot` does, and wait until it has booted again. Memory is lost, files stay."""
        os.kill(self.pid, SIGRTMIN + 5)
        old = self.pid
        until(lambda: self._init() not in (0, old), "the system begins to boot again", 60)
        self._wait_until_booted()

    def network(self) -> contextlib.AbstractContextManager[None]:
        """Sockets that this thread, or a thread started by it, makes meanwhile are in the system's network."""
        return in_network(self.pid)

    def kill(self, pid: int, signum: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a process by the id that it has in the system."""
        self.run(f"kill -{int(signum)} {pid}")

    def _init(self) -> int:
        """The id of the system's init; 0 while it has none."""
        assert self._shell
        assert self._shell.poll() is None, f"the system has halted: {self.console()[-4000:]}"
        for nspawn in _children(self._shell.pid):
            for child in _children(nspawn):
                with contextlib.suppress(OSError):
                    if Path(f"/proc/{child}/comm").read_text() == "systemd\n":
                        return child
        return 0

    def _wait_until_booted(self) -> None:
        def state() -> str:
            self.pid = self._init()
            return self.run("systemctl is-system-running", check=False).stdout.strip() if self.pid else ""

        until(lambda: state() in ("running", "degraded"), "the system has booted", 60, pause=0.1)
        assert not (failed := self.out("systemctl --failed --no-legend --plain")), failed


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
