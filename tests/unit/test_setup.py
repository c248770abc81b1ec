"""setup.py: whether what can be compiled is built, must be, or is not; and what an index shows of hvd."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = {"_counting", "_hotrow", "_own"}


def build(folder: Path, choice: str, compiler: str) -> tuple[int, set[str], str]:
    """Of setup.py's build_ext in a copy of its own: the exit status, the modules that are built, and what it says."""
    for name in ("setup.py", "README.md"):
        shutil.copy(ROOT / name, folder)
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


@pytest.mark.parametrize("url", ["", "https://sources.example/hvd"])
def test_no_link_of_what_an_index_shows_leads_nowhere(url: str) -> None:
    """An index has the README alone: links lead to the sources where their address is told."""
    command = (sys.executable, "-W", "ignore", "setup.py", "--long-description")
    environ = {**os.environ, "HVD_PROJECT_URL": url}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
    links = re.findall(r"\]\(([^)]*)\)", done.stdout)
    assert [link for link in links if "://" not in link] == []
    ours = {link.removeprefix(url).partition("#")[0] for link in links if url and link.startswith(url)}
    assert ("/raw/HEAD/docs/dashboard.png" in ours) == bool(url)
    for link in ours:
        assert (ROOT / re.sub(r"^/(raw|blob)/HEAD/", "", link)).is_file(), link
    assert "an admin server answers while" in done.stdout or url
