"""hvd's code in memory, and processes that are executed with it."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from unittest.mock import Mock

import pytest

from hvd.daemon.code import Code, archive_code

IMPORT = """\
import hvd.core.own.hot, hvd.agg.main, hvd.jobs.run.main, hvd.jobs.run.guard, hvd.core.hot, hvd.instrument.wsgi
import hvd.companion.options
for module in (hvd, hvd.jobs.run.guard, hvd.core._hotrow, hvd.core.own._own, hvd.instrument.wsgi.compiled):
    print(module.__file__)
print(hvd.core.hot.IS_COMPILED, hvd.companion.options.inherited_fds())
"""


@pytest.fixture
def code() -> Iterator[Code]:
    code = archive_code()
    yield code
    for fd in code.fds:
        os.close(fd)


def test_a_process_that_is_executed_has_the_code_from_memory(code: Code) -> None:
    """Ours before any on the disk; the compiled parts by descriptors of their files, which may be gone."""
    archive, *compiled = code.fds
    done = subprocess.run(
        [sys.executable, "-P", "-c", IMPORT],
        env=code.environ({"PYTHONPATH": "/nowhere"}),
        pass_fds=code.fds,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    package, guard, *parts, rest = done.stdout.splitlines()
    assert package == f"/proc/self/fd/{archive}/hvd/__init__.pyc"
    assert guard == f"/proc/self/fd/{archive}/hvd/jobs/run/guard.pyc"
    assert {*parts} == {f"/proc/self/fd/{fd}" for fd in compiled}
    assert rest == f"True [{archive}]"


def test_nobody_can_change_it(code: Code) -> None:
    """Neither companion can put code into what the other one executes."""
    with pytest.raises(PermissionError):
        os.pwrite(code.fds[0], b"x", 0)


def test_the_variables_of_the_master_go_along(code: Code) -> None:
    """What it finds other packages by, too."""
    path = f"/proc/self/fd/{code.fds[0]}"
    assert code.environ({"A": "b"}) == {"A": "b", "PYTHONPATH": path}
    assert code.environ({"PYTHONPATH": "/x"}) == {"PYTHONPATH": f"{path}:/x"}


def test_without_memory_files_the_disk_has_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel or a sandbox may refuse them."""
    monkeypatch.setattr(os, "memfd_create", Mock(side_effect=OSError(errno.ENOSYS, "not there")))
    assert archive_code() == Code()
    assert Code().environ({"A": "b"}) == {"A": "b"}


def test_without_proc_the_disk_has_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stays open."""
    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr("hvd.daemon.code.DESCRIPTOR", "/nowhere/{}")
    assert archive_code() == Code()
    assert len(os.listdir("/proc/self/fd")) == len(before)
