"""What stands where a standard descriptor was closed, and how many descriptors there may be."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from hvd.core import descriptors
from hvd.core.descriptors import count_free, limit, limit_at_start, raise_limit
from tests.unit.core.support import ended, fork

LINKS = "[os.readlink(f'/proc/self/fd/{n}') for n in range(3)]"


def run_closed(closed: str, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python that begins with these redirections of a shell."""
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", code, *arguments]
    return subprocess.run(shell, input="", capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_descriptor_is_the_null_device(tmp_path: Path, closed: str) -> None:
    """For this process and its children; all that is printed goes there; others stay what they were."""
    code = f"""if True:
        import os, subprocess, sys
        from hvd.core.descriptors import fill_standard
        fill_standard()
        ours, opened = {LINKS}, os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
        print("out", flush=True), print("err", file=sys.stderr), sys.stdin.read()
        subprocess.run([sys.executable, "-c", f"import os; print('child', file=open(2, 'w'))"], check=True)
        os.write(opened, repr((ours, opened > 2)).encode())"""
    file = tmp_path / "opened"
    done = run_closed(closed, code, str(file))
    links, is_above = eval(file.read_text())
    assert is_above
    for number, sign in enumerate(("<&-", " >&-", "2>&-")):
        assert (links[number] == os.devnull) == (sign in closed), links
    assert (done.stdout == "") == (" >&-" in closed)
    assert (done.stderr == "") == ("2>&-" in closed)


def test_a_block_never_is_a_standard_descriptor(name: str) -> None:
    """In no process, whoever started it: neither its descriptor nor that of its mapping."""
    code = f"""if True:
        import os, sys
        from hvd.core.acquire import acquire
        from hvd.core.block import open_block
        from tests.unit.core.support import SMALL
        kept = acquire(sys.argv[1], SMALL), open_block(sys.argv[1])
        sys.exit(any("shm" in link for link in {LINKS}))"""
    assert run_closed("<&- >&- 2>&-", code, name).returncode == 0


PROGRAMS = {
    "the daemon": "import hvd.gunicorn_conf",
    "the aggregator": "import hvd.agg.main as program",
    "the job runner": "import hvd.jobs.run.main as program",
    "the command": "import hvd.cli.main as program",
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_programs_fill_them_first(program: str) -> None:
    """Before they read as much as their arguments."""
    code = f"""if True:
        import contextlib, os, sys
        {program}
        with contextlib.suppress(SystemExit, NameError):
            program.main(["--help"])
        sys.exit({LINKS} != [os.devnull] * 3)"""
    assert run_closed("<&- >&- 2>&-", code).returncode == 0


def test_a_limit_is_raised_as_far_as_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never lowered; a child can be given the one that there was at the start."""

    def try_it() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 110))
        monkeypatch.setattr(descriptors, "_AT_START", (100, 110))
        raise_limit(1)
        assert (limit(), limit_at_start()) == (100, None)
        for wanted, got in ((105, 105), (10**6, 110)):
            raise_limit(wanted)
            assert limit() == got
        give = limit_at_start()
        assert give
        give()
        assert limit() == 100

    assert ended(fork(try_it)) == 0


def test_how_many_are_free_is_what_can_be_opened() -> None:
    """By the limit of now."""

    def try_it() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
        for _ in range(count_free()):
            os.dup(0)
        try:
            os.dup(0)
        except OSError:
            os._exit(count_free())
        os._exit(99)

    assert ended(fork(try_it)) == 0
