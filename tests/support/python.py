"""A Python with hvd that every user may execute: the one that runs the tests may stand in somebody's private folder."""

import shutil
import site
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.server import ROOT

PROBE = "import falcon, gunicorn, hvd.agg.main, hvd.jobs.run.main, tests.support.app"
NEEDLESS = ("test", "tests", "idlelib", "tkinter", "ensurepip", "site-packages", "dist-packages", "config-*", "*.a")
NOT_HVDS = (
    *("mypy*", "*mypyc*", "selenium*", "pip*", "trio*", "sentry_sdk*", "setuptools*", "ruff*", "pygments*"),
    *("material", "mkdocs*", "pymdownx*", "babel*", "django*", "granian*", "celery*", "pydantic*", "opentelemetry*"),
    *("schemathesis*", "jsonschema_rs*", "hypothesis*"),
)
"""Big packages that a daemon does without."""


@dataclass(frozen=True)
class Python:
    """A program and the variables that it needs."""

    program: str
    environ: dict[str, str] = field(default_factory=dict)

    def works_for(self, uid: int) -> bool:
        """True if a user may execute it, and finds hvd and what that needs."""
        command = [self.program, "-c", PROBE]
        try:
            return subprocess.run(command, cwd="/", env=self.environ, user=uid, group=uid, check=False).returncode == 0
        except PermissionError:
            return False


def python_for(uid: int, folder: Path) -> Python:
    """The tests' own Python if this user may execute it, else a copy of it in the folder, which the user can enter."""
    own = Python(sys.executable, {"PYTHONPATH": str(ROOT)})
    return own if own.works_for(uid) else _copied(folder / "python")


def _copied(folder: Path) -> Python:
    stdlib = Path(sysconfig.get_path("stdlib"))
    program = folder / "bin" / stdlib.name
    program.parent.mkdir(parents=True)
    shutil.copy(Path(sys.executable).resolve(), program)
    shutil.copytree(stdlib, folder / "lib" / stdlib.name, ignore=shutil.ignore_patterns(*NEEDLESS))
    for library in Path(sysconfig.get_config_var("LIBDIR")).glob("libpython*.so*"):
        shutil.copy(library, folder / "lib")
    packages = folder / "packages"
    for path in site.getsitepackages():
        shutil.copytree(path, packages, ignore=shutil.ignore_patterns(*NOT_HVDS, "*.pth"), dirs_exist_ok=True)
    for name in ("hvd", "tests"):
        shutil.copytree(ROOT / name, packages / name, dirs_exist_ok=True)
    return Python(str(program), {"PYTHONPATH": str(packages), "LD_LIBRARY_PATH": str(folder / "lib")})
