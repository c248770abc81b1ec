"""What the runner is told, through a real descriptor."""

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from hvd.jobs.options import Options
from hvd.settings.job_kinds import read_kinds
from hvd.settings.loader import load

KINDS = {
    "plain": {"command": ["true"]},
    "full": {
        "command": ["convert", "-f", "{format}", "--", "{source}", "{note}", "{count}"],
        "params": {
            "format": {"type": "choice", "choices": ["raw", "qcow2"], "default": "raw"},
            "source": {"type": "path", "roots": ["/etc", "/srv/ü"]},
            "note": {"type": "string", "pattern": "[a-z]*", "default": ""},
            "count": {"type": "int", "min": 1, "max": 9},
        },
        "progress": r"\((?P<percent>[0-9.]+)/100%\)",
        "timeout": 7,
        "concurrency": 3,
        "retries": 2,
        "backoff": 0.5,
        "env": {"PASSWORD": "gruß"},
        "cwd": "/",
    },
}


@pytest.fixture
def fd() -> Iterator[int]:
    fd = os.memfd_create("options")
    yield fd
    os.close(fd)


def made(**changes: object) -> Options:
    kinds, faults = read_kinds(KINDS)
    assert not faults
    plain = Options("sqlite:////var/jobs", "/var", "one", 4, 2.5, 15.0, 7.0, "info", kinds, 2**20)
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_what_is_written_is_read(fd: int) -> None:
    """All of it, each kind with all that it declares."""
    options = made()
    options.write(fd)
    assert Options.read(fd) == options
    assert Options.read(fd) == options, "as often as it is asked for"


def test_a_kind_read_makes_the_same_command(fd: int) -> None:
    """Numbers, patterns and defaults are as before."""
    made().write(fd)
    kind = Options.read(fd).kinds["full"]
    params = kind.normal({"source": "/etc/passwd", "count": 3})
    assert kind.argv(params) == ["convert", "-f", "raw", "--", "/etc/passwd", "", "3"]
    assert [problem.pointer for problem in kind.check({"source": "/srv/x", "count": 10})] == ["/source", "/count"]


def test_shorter_options_leave_nothing_of_longer_ones(fd: int) -> None:
    """Nor the other way round."""
    for options in (made(), made(kinds={}), made(database_url="x" * 10_000), made()):
        options.write(fd)
        assert Options.read(fd) == options


@pytest.mark.parametrize("length", [0, 1, 100, -1])
def test_half_written_options_are_no_options(fd: int, length: int) -> None:
    """ValueError, so that whoever reads them waits for the next signal."""
    made().write(fd)
    os.ftruncate(fd, length if length >= 0 else os.fstat(fd).st_size + length)
    with pytest.raises(ValueError, match=r"line 1|Unterminated"):
        Options.read(fd)


def test_a_process_that_has_the_descriptor_reads_them(fd: int) -> None:
    """Wherever another one's file position is: both share one."""
    made().write(fd)
    other = os.dup(fd)
    os.lseek(fd, 17, os.SEEK_SET)
    assert Options.read(other) == made()
    os.close(other)


def test_they_are_of_the_settings() -> None:
    """Each from the setting that it is named after."""
    settings = load(
        {
            "HVD_INSTANCE": "one",
            "HVD_DATABASE_URL": "sqlite:////tmp/x.db",
            "HVD_STATE_DIR": "/tmp/y",
            "HVD_JOBS_CONCURRENCY": "3",
            "HVD_JOBS_GRACE": "4",
            "HVD_JOBS_LEASE": "50",
            "HVD_JOBS_KEEP_DAYS": "6",
            "HVD_JOBS_OUTPUT_LIMIT": "1048576",
            "HVD_LOG_LEVEL": "debug",
        }
    ).settings
    assert Options.of(settings) == Options(
        *("sqlite:////tmp/x.db", "/tmp/y", "one"), 3, 4.0, 50.0, 6.0, "debug", {}, 2**20
    )
