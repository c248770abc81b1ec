"""Which companions a master has, what each is told, and that a reload reaches them."""

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import gunicorn
import pytest

from hvd.agg.options import AggregatorOptions
from hvd.companion.options import Command, OptionsFile
from hvd.core import layout
from hvd.core.block import Block
from hvd.daemon import programs
from hvd.daemon.admin.options import AdminOptions
from hvd.daemon.code import Code
from hvd.daemon.companions import STOP_GRACE, Companion, Companions
from hvd.daemon.deaths import Settler
from hvd.daemon.programs import Channels, Programs
from hvd.daemon.users import User
from hvd.jobs.database import connection
from hvd.jobs.options import RunnerOptions
from hvd.otlp.options import ExporterOptions
from hvd.settings.loader import load
from hvd.settings.table import Settings
from tests.unit.jobs.support import kinds

USUAL = ("block", "options", "stacks")
AGGREGATOR, JOB_RUNNER = (*USUAL, "handoff", "events"), (*USUAL, "events", "wake")
ADMIN_SERVER = (*USUAL, "listener", "hub", "workers", "events", "wake")


class Scene:
    """The programs of a master of this process. None is executed."""

    def __init__(self, block: Block, uid: int = 0) -> None:
        log = logging.getLogger("test")
        self.block, self.channels = block, Channels()
        self._companions = Companions(block, Settler(block, log), log)
        cfg = SimpleNamespace(uid=uid, gid=uid and uid - 1, initgroups=False)
        self.listener: socket.socket | None = None
        self.address: Any = SimpleNamespace(listener=None, address="unix:/run/admin.sock")
        self.programs = Programs(block, self.channels, self._companions, cfg, Code((99,)), self.address, 7.0)

    @property
    def all(self) -> list[Companion]:
        return self._companions._all

    def take(self, **changes: Any) -> Settings:
        settings = replace(load({}).settings, **changes)
        self.programs.take(settings, "error")
        return settings

    def listen(self) -> None:
        """From now on there is an admin address."""
        self.listener = self.address.listener = socket.socket(socket.AF_UNIX)

    def close(self) -> None:
        if self.listener:
            self.listener.close()
        channels = self.channels
        for end in (channels.worker_end, channels.hub_end, channels.event_writers, channels.event_reader):
            end.close()
        for fd in (channels.wake_fd, channels.stacks.fd):
            os.close(fd)


@pytest.fixture
def scene(block: Block) -> Iterator[Scene]:
    scene = Scene(block)
    yield scene
    scene.close()


def told(companion: Companion, names: tuple[str, ...]) -> tuple[Command, str]:
    """What is in its arguments, and its options."""
    command = companion.command(3)
    read = Command.parse("test", names, command[4:])
    assert tuple(read.descriptors.values()) == companion.pass_fds
    return read, OptionsFile(read.descriptors["options"]).read()


def test_there_is_a_job_runner_once_a_kind_is_declared(scene: Scene) -> None:
    """Of a reload, too; without one no process is kept for jobs."""
    scene.take()
    scene.take(interval=3.0)
    assert [one.name for one in scene.all] == ["aggregator"]
    scene.take(job_kinds=kinds())
    assert [one.name for one in scene.all] == ["aggregator", "job runner"]
    assert set(RunnerOptions.from_json(told(scene.all[1], JOB_RUNNER)[1]).kinds) == {"plain", "stubborn"}
    scene.take()
    assert RunnerOptions.from_json(told(scene.all[1], JOB_RUNNER)[1]).kinds == {}, "it stays, and starts nothing"


def test_there_is_an_exporter_once_metrics_have_a_receiver(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """And once what it needs is installed; it stays, and sends nothing, where there is no receiver any more."""
    monkeypatch.setattr(programs, "is_installed", lambda protocol: protocol == "http/protobuf")
    settings = scene.take(otlp_endpoint="http://h:4317", otlp_protocol="grpc")
    assert [one.name for one in scene.all] == ["aggregator"]
    settings = scene.take(otlp_endpoint="http://h:4318")
    assert [(one.name, one.kind) for one in scene.all[1:]] == [("exporter", layout.KIND_EXPORTER)]
    command, text = told(scene.all[1], USUAL)
    assert command.block == scene.block.name
    assert ExporterOptions.from_json(text) == ExporterOptions.of(settings, "error", gunicorn.__version__)
    scene.take()
    assert ExporterOptions.from_json(told(scene.all[1], USUAL)[1]).endpoint == ""


def test_each_is_told_all_that_it_needs(scene: Scene) -> None:
    """By descriptors that it inherits; nothing secret is in its arguments."""
    settings = scene.take(job_kinds=kinds(), database_url="postgresql://hvd:secret@db/hvd")
    aggregator, runner = scene.all
    for one, module in ((aggregator, "hvd.agg"), (runner, "hvd.jobs")):
        assert one.command(3)[:4] == [sys.executable, "-P", "-m", module]
        assert "secret" not in str(one.command(3))
        assert one.code == Code((99,))
    command, text = told(aggregator, AGGREGATOR)
    assert (command.block, command.slot, command.master) == (scene.block.name, 3, os.getpid())
    assert command.descriptors["block"] == scene.block.fd
    assert command.descriptors["stacks"] == scene.channels.stacks.fd
    assert command.descriptors["handoff"] == scene.channels.hub_end.fileno()
    assert command.descriptors["events"] == scene.channels.event_reader.fileno()
    assert AggregatorOptions.from_json(text) == AggregatorOptions.of(settings, "error")
    command, text = told(runner, JOB_RUNNER)
    assert command.descriptors["events"] == scene.channels.event_writers.fileno()
    assert command.descriptors["wake"] == scene.channels.wake_fd
    assert RunnerOptions.from_json(text) == RunnerOptions.of(settings, "error")
    assert "secret" in text


def test_the_admin_server_has_the_socket_that_the_master_has_bound(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what a worker has of the hand-off and of jobs; it is told to end when it is to have another socket."""
    scene.listen()
    settings = scene.take()
    _, server = scene.all
    assert (server.name, server.command(3)[:4]) == ("admin server", [sys.executable, "-P", "-m", "hvd.daemon.admin"])
    command, text = told(server, ADMIN_SERVER)
    assert scene.listener
    assert command.descriptors["listener"] == scene.listener.fileno()
    assert command.descriptors["workers"] == scene.channels.worker_end.fileno()
    assert command.descriptors["hub"] == scene.channels.hub_end.fileno()
    assert command.descriptors["events"] == scene.channels.event_writers.fileno()
    assert command.descriptors["wake"] == scene.channels.wake_fd
    assert AdminOptions.from_json(text) == AdminOptions.of(settings, "error", "unix:/run/admin.sock", 7.0)
    signals: list[signal.Signals] = []
    monkeypatch.setattr(Companion, "signal", lambda one, signum: signals.append(signum))
    scene.programs.replace_admin_server()
    monkeypatch.setattr(Companion, "is_running", True)
    scene.programs.replace_admin_server()
    assert signals == [signal.SIGTERM]


def test_the_job_runner_has_time_to_end_its_jobs(scene: Scene) -> None:
    """Their grace, and then its own, as the settings of now say; it is told to stop when the workers are."""
    scene.take(job_kinds=kinds(), jobs_grace=7.0)
    aggregator, runner = scene.all
    assert (aggregator.stop_grace, runner.stop_grace) == (STOP_GRACE, 7.0 + STOP_GRACE)
    assert (aggregator.stops_with_workers, runner.stops_with_workers) == (False, True)
    scene.take(job_kinds=kinds(), jobs_grace=60.0)
    assert runner.stop_grace == 60.0 + STOP_GRACE


def test_only_who_has_other_options_is_told_of_a_reload(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """By SIGHUP, so that what runs goes on; a change that is none of its business doesn't wake it."""
    scene.take(job_kinds=kinds())
    signals: list[tuple[str, signal.Signals]] = []
    monkeypatch.setattr(Companion, "is_running", True)
    monkeypatch.setattr(Companion, "signal", lambda one, signum: signals.append((one.name, signum)))
    scene.take(job_kinds=kinds())
    scene.take(job_kinds=kinds(), timeout=99)
    assert signals == []
    scene.take(job_kinds=kinds(), interval=9.0)
    assert signals == [("aggregator", signal.SIGHUP)]
    scene.take(job_kinds=kinds(), interval=9.0, jobs_concurrency=3)
    assert signals == [("aggregator", signal.SIGHUP), ("job runner", signal.SIGHUP)]


@pytest.mark.parametrize(("uid", "user"), [(0, None), (1000, User(1000, 999))])
def test_companions_have_the_workers_user(
    block: Block, uid: int, user: User | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What parses bytes from the network, and what runs programs, is no more than a worker is."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "getegid", lambda: 0)
    scene = Scene(block, uid)
    scene.take(job_kinds=kinds())
    assert [one.user for one in scene.all] == [user, user]
    scene.close()


def test_what_workers_need_for_jobs_is_imported_before_they_are_forked(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start, or by the reload that brings the first kinds: after the fork each would import it for itself."""
    url = "postgresql://hvd@nowhere/hvd"
    loaded: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(connection, "load_library", loaded.append)
        scene.take(database_url=url)
        assert loaded == []
        scene.take(database_url=url, job_kinds=kinds())
        assert loaded == [url]
    script = f"""
import sys
from hvd.daemon.programs import load_jobs
load_jobs({url!r})
loaded = set(sys.modules)
from hvd.jobs.service import JobService
from hvd.jobs.database.connection import Database
Database({url!r})._engine_of_backend()
print(sorted(set(sys.modules) - loaded))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
