"""A job service that is loaded when it is needed."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hvd.daemon.admin.late_jobs import LateJobs
from hvd.settings.loader import load
from hvd.settings.table import Settings
from tests.unit.jobs.support import kinds


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(load({"HVD_STATE_DIR": str(tmp_path)}).settings, job_kinds=kinds())


@pytest.fixture
def writers() -> Iterator[socket.socket]:
    one, other = socket.socketpair()
    with one, other:
        yield one


@pytest.fixture
def wake_fd() -> Iterator[int]:
    fd = os.eventfd(0)
    yield fd
    os.close(fd)


def test_there_is_none_without_kinds(settings: Settings, writers: socket.socket, wake_fd: int) -> None:
    """Until a reload brings some."""
    late = LateJobs(replace(settings, job_kinds={}), wake_fd, writers)
    assert late.service() is None
    late.take(settings)
    service = late.service()
    assert service
    assert service.kinds == settings.job_kinds


def test_it_is_made_once_and_follows_reloads(settings: Settings, writers: socket.socket, wake_fd: int) -> None:
    """By the first question to it; kinds and limits are those of now."""
    late = LateJobs(settings, wake_fd, writers)
    service = late.service()
    assert service
    assert late._made is None
    assert service.output
    made = late._made
    late.take(replace(settings, job_kinds={}, jobs_queue_limit=3))
    assert late._made is made
    assert made
    assert (made.kinds, made._limit) == ({}, 3)
    with pytest.raises(AttributeError):
        service.no_such_thing  # type: ignore[attr-defined]  # noqa: B018


def test_the_app_of_an_admin_server_loads_no_database() -> None:
    """31 MB that most never need."""
    script = "import sys, hvd.daemon.admin.main; print('sqlalchemy' in sys.modules, 'jsonschema' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False False\n"
