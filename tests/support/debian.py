"""Minimal Debian systems, each made once on a machine and never changed: what runs in one works on an overlay of it.

They stand in CACHE, and wheels beside them. `python -m tests.support.debian SUITE ...` makes what is missing.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.server import ROOT

CACHE = Path("/var/cache/hvd-tests")
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "libpam-systemd", "iproute2", "procps", "ca-certificates", "curl"),
    *("python3", "python3-venv", "nginx", "openssl"),
)
"""What a server has that somebody wants to install hvd on."""
BUILDERS = ("gcc", "libc6-dev", "python3-dev", "python3-venv", "debhelper")
"""What a package of hvd is built with: see deploy/debian/control."""
PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
SOURCES = ("hvd", "deploy", "setup.py", "setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")
"""What a wheel is built from."""


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """One process of the machine at a time; as root."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def base(suite: str) -> Path:
    """The root folder of a minimal Debian; its package lists and caches are empty."""
    return _system(suite, suite, PACKAGES)


def builder(suite: str) -> Path:
    """The root folder of a Debian in which packages are built."""
    return _system(f"builder-{suite}", suite, BUILDERS)


def _system(name: str, suite: str, packages: tuple[str, ...]) -> Path:
    made = f"{name}-{hashlib.sha256(' '.join(packages).encode()).hexdigest()[:12]}"
    with locked(name):
        if not (CACHE / made).exists():
            _forget(f"{name}-*")
            part = CACHE / f"{made}.part"
            shutil.rmtree(part, ignore_errors=True)
            _run("debootstrap", "--variant=minbase", f"--include={','.join(packages)}", suite, str(part))
            part.rename(CACHE / made)
    return CACHE / made


def wheels(suite: str) -> list[Path]:
    """Folders with the wheel of this tree, and with those of what it needs, for the Python of that Debian."""
    return [_own_wheel(suite), wheels_needed(suite)]


def wheels_needed(suite: str) -> Path:
    """The folder with the wheels that hvd needs, and those that build it, for the Python of that Debian."""
    declared = (ROOT / "setup.cfg").read_text().partition("install_requires =")[2].partition("\n\n")[0]
    needed = [line.strip().replace(" ", "") for line in declared.strip().splitlines()] + ["psycopg", "setuptools"]
    made = f"wheels-{suite}-{hashlib.sha256(' '.join(needed).encode()).hexdigest()[:12]}"
    with locked(f"wheels-{suite}"):
        if not (CACHE / made).exists():
            _forget(f"wheels-{suite}-*")
            python = ("--python-version", PYTHONS[suite], "--only-binary", ":all:")
            with tempfile.TemporaryDirectory(dir=CACHE) as part:
                _run(sys.executable, "-m", "pip", "download", "--quiet", *python, "--dest", part, *needed)
                shutil.copytree(part, CACHE / made)
    return CACHE / made


def package(suite: str) -> Path:
    """The file of hvd's package for that Debian, of this tree."""
    made = f"package-{suite}-{_digest()}"
    with locked(f"package-{suite}"):
        if not (CACHE / made).exists():
            _forget(f"package-{suite}-*")
            with tempfile.TemporaryDirectory(dir=CACHE) as part:
                environ = (f"WHEELS={wheels_needed(suite)}", f"DIST={part}", "DEB_BUILD_OPTIONS=parallel=2")
                environ += ("DPKG_DEB_COMPRESSOR_TYPE=gzip", "DPKG_DEB_COMPRESSOR_LEVEL=1")
                _run("env", *environ, "sh", str(ROOT / "deploy/debian/build.sh"), str(builder(suite)))
                shutil.copytree(part, CACHE / made)
    (file,) = (CACHE / made).iterdir()
    return file


def _own_wheel(suite: str) -> Path:
    """Built here, where the Python is the same; elsewhere one without compiled parts."""
    compiled = f"{sys.version_info.major}.{sys.version_info.minor}" == PYTHONS[suite]
    made = f"hvd-{'compiled' if compiled else 'pure'}-{_digest()}"
    with locked(made.rpartition("-")[0]):
        if not (CACHE / made).exists():
            _forget(f"{made.rpartition('-')[0]}-*")
            with tempfile.TemporaryDirectory() as part:
                copy, built = Path(part, "copy"), Path(part, "built")
                _copy_sources(copy)
                choice = f"HVD_BUILD_EXTENSION={'yes' if compiled else 'no'}"
                build = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps")
                _run("env", choice, *build, "--wheel-dir", str(built), str(copy))
                shutil.copytree(built, CACHE / made)
        os.utime(CACHE / made)
    return CACHE / made


def _copy_sources(copy: Path) -> None:
    copy.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        else:
            shutil.copy(ROOT / name, copy)


def _digest() -> str:
    """Of all that a wheel is built from."""
    digest = hashlib.sha256()
    for name in SOURCES:
        for path in sorted([ROOT / name, *(ROOT / name).rglob("*")]):
            if path.is_file() and path.suffix not in (".pyc", ".so"):
                digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _forget(pattern: str) -> None:
    """What was made of an older state, and not asked for in the last two hours: another tree's tests may run in it."""
    for path in CACHE.glob(pattern):
        if path.is_dir() and time.time() - path.stat().st_mtime > 7200:
            shutil.rmtree(path)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        base(name)
        builder(name)
        wheels(name)
