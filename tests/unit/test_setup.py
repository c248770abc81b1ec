"""setup.py: whether what can be compiled is built, must be, or is not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = {"_hotrow", "_counting"}


def build(folder: Path, choice: str, compiler: str) -> tuple[int, set[str], str]:
    """Of setup.py's build_ext in a copy of its own: the exit status, the modules that are built, and what it says."""
    shutil.copy(ROOT / "setup.py", folder)
    for path in ROOT.glob("hvd/*/*.[ch]"):
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    environ = {**os.environ, "HVD_BUILD_EXTENSION": choice, "CC": compiler, "CFLAGS": "-O0 -Werror"}
    command = [sys.executable, "setup.py", "build_ext", "--build-lib", "built"]
    run = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    return run.returncode, {path.name.split(".")[0] for path in folder.glob("built/**/*.so")}, run.stderr


@pytest.mark.parametrize(
    ("choice", "compiler", "status", "built"),
    [
        ("", "cc", 0, MODULES),
        ("", "false", 0, set()),
        ("yes", "cc", 0, MODULES),
        ("yes", "false", 1, set()),
        ("no", "cc", 0, set()),
    ],
)
def test_a_build_is_demanded_refused_or_tried(
    tmp_path: Path, choice: str, compiler: str, status: int, built: set[str]
) -> None:
    """`false` stands for a compiler that fails. Nothing that is built has a warning."""
    assert build(tmp_path, choice, compiler)[:2] == (status, built)


def test_any_other_choice_is_refused(tmp_path: Path) -> None:
    """It names what is right."""
    status, built, text = build(tmp_path, "true", "cc")
    assert (status, built) == (1, set())
    assert text.startswith("HVD_BUILD_EXTENSION is 'true': it must be yes")
