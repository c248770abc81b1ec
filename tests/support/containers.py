"""Containers of podman for tests: built from deploy/Dockerfile on the systems of `tests.support.debian`, run for real.

Everything but the images is in namespaces of its own, of mounts and of the network, and gone with them. As root.
"""

import contextlib
import resource
import subprocess
from pathlib import Path
from typing import Self

import psutil

from tests.support.booted import in_network
from tests.support.debian import CACHE, base, builder, locked, wheels_needed
from tests.support.server import ROOT
from tests.support.waiting import PATIENCE

SUITE = "trixie"
STORAGE = str(CACHE / "podman")
NAMESPACES = """
set -e
umount /sys/fs/cgroup/unified 2>/dev/null || true  # crun takes no hybrid of cgroup v1 and v2
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /etc/cni
ip link set lo up
echo ready
exec sleep infinity
"""
PIP = """[global]
no-index = true
find-links = /wheels
disable-pip-version-check = true
root-user-action = ignore
"""


class Podman:
    """podman with images that it keeps in CACHE; a context manager, of which there is one at a time on the machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = contextlib.ExitStack()
        self._holder: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._stack.enter_context(locked("podman"))
        unshare = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--propagation", "private")
        self._holder = subprocess.Popen((*unshare, "sh", "-c", NAMESPACES), stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout
        assert self._holder.stdout.readline() == "ready\n"
        try:
            self._remove_all()  # what a killed test has left
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *args: object) -> None:
        assert self._holder
        try:
            self._remove_all()
        finally:
            self._holder.kill()
            self._holder.communicate()
            self._stack.close()

    def _remove_all(self) -> None:
        for process in psutil.process_iter(["name", "cmdline"]):  # podman knows nothing of them in new namespaces
            if process.info["name"] == "conmon" and any(STORAGE in word for word in process.info["cmdline"] or ()):
                for one in (*process.children(recursive=True), process):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        one.kill()
        for container in self.out("ps", "--all", "--quiet").split():
            self.run("rm", "--force", "--depend", "--volumes", "--time", "0", "--ignore", container)
        for group in Path("/sys/fs/cgroup").glob("*/libpod_parent"):
            for folder in (*(path for path in group.iterdir() if path.is_dir()), group):
                with contextlib.suppress(OSError):  # another podman's are in use
                    folder.rmdir()

    @property
    def command(self) -> tuple[str, ...]:
        """What calls podman in the namespaces."""
        assert self._holder
        pid = self._holder.pid
        storage = ("--root", STORAGE, "--runroot", "/run/podman", "--storage-driver", "overlay")
        how = ("--cgroup-manager", "cgroupfs", "--events-backend", "file")
        return ("nsenter", f"--mount=/proc/{pid}/ns/mnt", f"--net=/proc/{pid}/ns/net", "podman", *storage, *how)

    def run(self, *arguments: str, check: bool = True, seconds: float = 60) -> "subprocess.CompletedProcess[str]":
        """One command of podman's; AssertionError with its output where it fails, unless not `check`."""
        command = (*self.command, *arguments)
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds * PATIENCE, check=False)
        failed = f"{' '.join(arguments)}: {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        assert not check or done.returncode == 0, failed
        return done

    def out(self, *arguments: str) -> str:
        """What such a command prints, stripped."""
        return self.run(*arguments).stdout.strip()

    def import_base(self, name: str, folder: Path) -> str:
        """An image of that system, made once; its name."""
        image = f"localhost/{name}:{folder.name}"
        if self.run("image", "exists", image, check=False).returncode:
            with subprocess.Popen(("tar", "-C", folder, "-c", "."), stdout=subprocess.PIPE) as tar:
                subprocess.run((*self.command, "import", "-", image), stdin=tar.stdout, check=True, capture_output=True)
            assert tar.returncode == 0
        return image

    def build(self, dockerfile: Path, *, has_compiler: bool = True) -> "subprocess.CompletedProcess[str]":
        """Build localhost/hvd of this tree, on Debian; what became of it, which is a failure without a compiler."""
        self.folder.joinpath("pip.conf").write_text(PIP)
        plain = self.import_base("base", base(SUITE))
        compiler = self.import_base("builder", builder(SUITE)) if has_compiler else plain
        values = (f"--build-arg=BUILDER={compiler}", f"--build-arg=BASE={plain}")
        volumes = (f"{wheels_needed(SUITE)}:/wheels:ro", f"{self.folder}/pip.conf:/etc/pip.conf:ro")
        return self.run(
            *("build", "--format", "docker", "--isolation", "chroot", "--layers"),
            *(*values, *limits(), *(f"--volume={volume}" for volume in volumes)),
            *("--file", str(dockerfile), "--tag", "localhost/hvd", str(ROOT)),
            check=has_compiler,
            seconds=240,
        )


def limits() -> tuple[str, ...]:
    """podman would raise the limits of what it runs: where this machine may not do so, it has to be told lower ones."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return (f"--ulimit=nofile={files}:{files}", "--ulimit=nproc=32768:32768")


class Container:
    """One that runs localhost/hvd; a context manager. It has no network but its own loopback."""

    def __init__(self, podman: Podman, *options: str, command: tuple[str, ...] = ()) -> None:
        self.podman = podman
        self._options, self._command = options, command
        self.id = ""
        self.pid = 0

    def __enter__(self) -> Self:
        options = ("--detach", "--network=none", *limits(), *self._options)
        self.id = self.podman.out("run", *options, "localhost/hvd", *self._command)
        self.pid = int(self.state("Pid"))
        return self

    def __exit__(self, *args: object) -> None:
        self.podman.run("rm", "--force", "--depend", "--volumes", "--time", "0", self.id)

    def state(self, name: str) -> str:
        """What podman knows of it, as Pid or ExitCode."""
        return self.podman.out("inspect", "--format", f"{{{{.State.{name}}}}}", self.id)

    def run(self, *command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """A program in it, as its user."""
        return self.podman.run("exec", self.id, *command, check=check)

    @property
    def log(self) -> str:
        """All that it has written."""
        done = self.podman.run("logs", self.id)
        return done.stdout + done.stderr

    def network(self) -> contextlib.AbstractContextManager[None]:
        """Sockets that this thread makes meanwhile are in its network."""
        return in_network(self.pid)

    def processes(self) -> dict[int, str]:
        """Command lines of its processes, by the id that this machine knows them by."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if folder.joinpath("ns/pid").readlink() == Path(f"/proc/{self.pid}/ns/pid").readlink():
                    found[int(folder.name)] = folder.joinpath("cmdline").read_text().replace("\0", " ").strip()
        return found
