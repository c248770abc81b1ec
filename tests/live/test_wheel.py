"""A wheel of this tree, installed where there is no compiler: all that an operator needs of it is there, and works."""

import os
import signal
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.debian import PYTHONS, wheels
from tests.support.server import ROOT, Server
from tests.support.waiting import until

NO_COMPILER = {"PATH": "/nowhere", "PYTHONPATH": "", "CC": "/nowhere/cc"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of this tree, for this Python: the one that Debian systems get too, where it is the same."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    suite = next((suite for suite, python in PYTHONS.items() if python == version), "")
    if suite == "bookworm":
        folder = wheels(suite)[0]
    else:
        folder = tmp_path_factory.mktemp("wheel")
        command = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
        subprocess.run(command, env={**os.environ, "HVD_BUILD_EXTENSION": "yes"}, check=True)
    (path,) = folder.glob("hvd-*.whl")
    return path


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of programs of an environment with the wheel; what hvd needs is the tests' own."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    python = folder / "bin/python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    install = (sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index")
    subprocess.run((*install, str(wheel)), env={**os.environ, **NO_COMPILER}, check=True)
    (site / "needed.pth").write_text(sysconfig.get_path("purelib"))  # its own .pth files, as of this tree, don't count
    (folder / "bin/gunicorn").write_text(
        f"#!{python}\nimport sys\nfrom gunicorn.app.wsgiapp import run\nsys.exit(run())\n"
    )
    return folder / "bin"


def run(programs: Path, *args: str) -> str:
    """What the command prints, on stderr too; it works."""
    command = (str(programs / "hvd"), *args)
    done = subprocess.run(command, env=NO_COMPILER, cwd="/", capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_what_a_wheel_has_is_enough_to_deploy_and_serve(programs: Path, tmp_path: Path) -> None:
    """Without a compiler, a checkout or a gunicorn on the PATH; upgraded in place by USR2."""
    assert "bind" in run(programs, "check")
    run(programs, "deploy", "systemd", "--to", str(tmp_path / "systemd"))
    unit = (tmp_path / "systemd/hvd.service").read_text()
    assert f"ExecStart={programs}/" in unit
    assert "upstream hvd" in run(programs, "deploy", "nginx")
    (tmp_path / "link").symlink_to(programs / "hvd")
    server = Server(tmp_path, environ=NO_COMPILER)
    server.command = [str(tmp_path / "link"), "serve", "--", "--workers", "1"]
    with server:
        status = server.get("/status").json()
        assert status["hot_path"] == "C"
        assert len(server.pids("worker")) == 1
        server.signal(signal.SIGUSR2)
        until(lambda: len(server.pids("worker")) == 2, "the new master's worker is there", 30)
        server.signal(signal.SIGTERM)
        assert server.wait(30) == 0
        server.wait_ready()
        assert server.get("/status").json()["hot_path"] == "C"
        server.stop_successor()
