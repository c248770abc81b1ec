"""The runner's options, by a memory file."""

import json
import os
from collections.abc import Iterator

import pytest

from hvd.jobs.options import Options, daemon_name
from hvd.settings import Settings, load
from tests.unit.jobs.support import kinds


@pytest.fixture
def fd() -> Iterator[int]:
    made = os.memfd_create("test")
    yield made
    os.close(made)


def options(**environ: str) -> Options:
    settings: Settings = load({"HVD_INSTANCE": "test", **environ}).settings
    return Options(**{**Options.of(settings).__dict__, "kinds": kinds()})


def test_what_is_written_is_read(fd: int) -> None:
    """Kinds with all that they have; again after a reload that makes it shorter."""
    first = options(HVD_DATABASE_URL="postgresql://hvd:" + "x" * 200 + "@db/hvd")
    first.write(fd)
    assert Options.read(fd) == first
    second = options(HVD_JOBS_CONCURRENCY="7")
    second.write(fd)
    assert Options.read(fd) == second
    assert (second.concurrency, second.instance) == (7, "test")


def test_a_half_written_file_is_told(fd: int) -> None:
    """A signal will tell of its end."""
    options().write(fd)
    os.ftruncate(fd, 100)
    with pytest.raises(json.JSONDecodeError):
        Options.read(fd)


def test_a_daemons_name_holds_its_machines() -> None:
    """Two machines may use the same instance name."""
    assert daemon_name("a").endswith("/a")
    assert len(daemon_name("a")) > 2
