"""The class that counts, for every class of worker that gunicorn may be told."""

import importlib
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import ThreadWorker
from gunicorn.workers.sync import SyncWorker

from hvd.daemon.classes import COUNTING, counting, counting_class
from hvd.daemon.workers import CountingWorker, HvdSyncWorker, HvdThreadWorker, WorkerOfThreads
from hvd.errors import SettingsError
from hvd.settings.value_types import WORKER_CLASS


class OwnThreads(ThreadWorker):  # type: ignore[misc]
    """A subclass of the user's."""

    def handle_quit(self, sig: int, frame: Any) -> None:
        super().handle_quit(sig, frame)

    def init_process(self) -> None:
        super().init_process()


class OwnLoop(ThreadWorker):  # type: ignore[misc]
    """A subclass that takes part in gunicorn's loop."""

    def murder_pending(self) -> None:
        super().murder_pending()


class ByName(ThreadWorker):  # type: ignore[misc]
    """A subclass that calls its base as it did in Python 2."""

    def init_process(self) -> None:
        ThreadWorker.init_process(self)


class Unheard(Worker):  # type: ignore[misc]
    """A class of the user's."""


def configured(worker_class: object) -> Config:
    cfg = Config()
    cfg.set("worker_class", worker_class)
    return cfg


@pytest.mark.filterwarnings("ignore:The `uvicorn.workers` module is deprecated:DeprecationWarning")
@pytest.mark.parametrize(("theirs", "ours"), COUNTING.items())
def test_a_class_that_hvd_knows_has_a_counting_one(theirs: str, ours: str) -> None:
    """It is a subclass; and the setting takes its name."""
    module, _, name = theirs.rpartition(".")
    chosen = getattr(importlib.import_module(module), name)
    made = counting(chosen)
    assert f"{made.__module__}.{made.__qualname__}" == ours
    assert issubclass(made, chosen)
    assert made.is_known
    assert counting_class(configured(made.setting)) is made
    assert counting_class(configured(made)) is made


def test_what_a_subclass_overrides_stays_in_force() -> None:
    """hvd's class takes the place of its base: `super()` in it reaches hvd's."""
    made = counting(OwnThreads)
    assert made is counting(OwnThreads)
    order = made.__mro__
    assert order.index(OwnThreads) < order.index(HvdThreadWorker) < order.index(ThreadWorker)
    assert made.handle_quit is OwnThreads.handle_quit
    assert (made.__name__, made.is_known) == ("OwnThreads", True)
    assert WORKER_CLASS.read(made.setting) == f"{__name__}.OwnThreads"


@pytest.mark.parametrize("chosen", [OwnLoop, ByName])
def test_a_subclass_that_needs_gunicorns_own_loop_has_it(chosen: type) -> None:
    """Without hvd's for slow clients, which knows nothing of what it does there."""
    made = counting(chosen)
    assert issubclass(made, WorkerOfThreads)
    assert not issubclass(made, HvdThreadWorker)
    assert set(dir(ThreadWorker)) >= WorkerOfThreads.hvd_own_loop


def test_a_class_that_nobody_knows_counts_nevertheless() -> None:
    """hvd's stands in the place of gunicorn's base class."""
    made = counting(Unheard)
    assert made.__mro__[1:] == (Unheard, *CountingWorker.__mro__)
    assert not made.is_known


def test_threads_make_another_class_of_sync() -> None:
    """As in gunicorn."""
    cfg = configured("sync")
    assert counting_class(cfg) is HvdSyncWorker
    assert counting_class(configured(SyncWorker)) is HvdSyncWorker
    cfg.set("threads", 2)
    assert counting_class(cfg) is HvdThreadWorker


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere.Worker", "can't be loaded: ModuleNotFoundError: No module named 'nowhere'"),
        ("unheard", "can't be loaded: ImportError: Entry point"),
        ("json.dumps", "is no class"),
        ("json.Nothing", "is no class"),
        ("builtins.bool", "can't be combined with hvd's: "),
    ],
)
def test_what_is_no_class_of_worker_is_one_line(name: str, reason: str) -> None:
    """And no traceback."""
    with pytest.raises(SettingsError) as caught:
        counting_class(configured(name))
    assert str(caught.value).startswith(f"worker class '{name}' {reason}")
    assert "\n" not in str(caught.value)
