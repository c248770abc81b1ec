"""The folder that PROMETHEUS_MULTIPROC_DIR names."""

import os
import subprocess
import sys
from pathlib import Path

from hvd.metrics.prometheus import folder
from tests.support.waiting import until

SCRIPT = """
import os, subprocess, sys
from hvd.metrics.prometheus import folder
folder.point_there()
named = os.environ[folder.VARIABLE]
assert folder.is_own(named) and os.path.isdir(named) and not os.listdir(named)
assert not folder.users_folder()
print(named, flush=True)
show = f"import os; print(os.environ.get('{folder.VARIABLE}'))"
subprocess.run([sys.executable, "-c", show], check=True)
if not os.fork():
    raise SystemExit  # a forked process leaves it to its maker
os.wait()
assert os.path.isdir(named)
"""


def test_it_is_empty_and_private_and_goes_with_its_maker() -> None:
    """Programs that the process executes don't get the variable, so they don't write files there."""
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    named, inherited = run.stdout.split()
    assert inherited == "None"
    assert not os.path.exists(named)
    assert folder.is_own(folder.INSTEAD)


KILLED = """
import os, signal, sys, time
from hvd.metrics.prometheus import folder
folder.point_there()
if not os.fork():
    print(os.environ[folder.VARIABLE], flush=True)
    sys.stdin.read()
    os._exit(0)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_one_whose_maker_was_killed_goes_with_the_next(tmp_path: Path) -> None:
    """As soon as none of the processes live that the maker forked."""
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    other = tmp_path / "other"
    other.mkdir()

    def point() -> None:
        subprocess.run([sys.executable, "-c", SCRIPT], env=environ, capture_output=True, check=True)

    with subprocess.Popen(
        [sys.executable, "-c", KILLED], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout
        named = Path(killed.stdout.readline().strip())
        killed.wait()
        point()
        assert named.is_dir(), "its child lives"
    until(lambda: point() or not named.exists(), "it is removed")
    assert list(tmp_path.iterdir()) == [other]


def test_a_folder_of_the_users_is_told_from_hvds(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Under both names of the variable."""
    for name in (folder.VARIABLE, folder.OLD_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    assert not folder.users_folder()
    monkeypatch.setenv(folder.OLD_VARIABLE, "/tmp/mine")
    assert folder.users_folder() == "/tmp/mine"
    monkeypatch.setenv(folder.VARIABLE, f"/tmp/{folder.PREFIX}x/")
    monkeypatch.delenv(folder.OLD_VARIABLE)
    assert not folder.users_folder()


def test_an_upgrade_passes_on_only_the_users() -> None:
    """The new master decides anew."""
    environ = {folder.VARIABLE: f"/tmp/{folder.PREFIX}x", "A": "b"}
    folder.drop(environ)
    assert environ == {"A": "b"}
    environ = {folder.VARIABLE: "/tmp/mine"}
    folder.drop(environ)
    assert environ
