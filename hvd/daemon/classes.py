"""Which class of worker counts, for each that gunicorn may be told: its own, a subclass of one, or anybody's.

A class of hvd's has all that it needs of the class it stands for. For a subclass of that one, hvd's class takes the
place of its base: so what the subclass overrides stays in force, and what it calls by `super()` is hvd's. A class that
hvd doesn't know gets `CountingWorker` in the place of gunicorn's `Worker`.
"""

import functools
from importlib import import_module
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from hvd.daemon.workers import CountingWorker, RoomyWorker, WorkerOfThreads
from hvd.errors import SettingsError

COUNTING = {
    "gunicorn.workers.sync.SyncWorker": "hvd.daemon.workers.HvdSyncWorker",
    "gunicorn.workers.gthread.ThreadWorker": "hvd.daemon.workers.HvdThreadWorker",
    "gunicorn.workers.ggevent.GeventWorker": "hvd.daemon.gevent_workers.HvdGeventWorker",
    "gunicorn.workers.ggevent.GeventPyWSGIWorker": "hvd.daemon.gevent_workers.HvdPyWSGIWorker",
    "gunicorn.workers.gasgi.ASGIWorker": "hvd.daemon.asgi_workers.GunicornAsgi",
    "uvicorn_worker._workers.UvicornWorker": "hvd.daemon.asgi_workers.UvicornForGunicorn",
    "uvicorn.workers.UvicornWorker": "hvd.daemon.asgi_workers.UvicornForGunicorn",
}
"""The class that counts, for each that hvd knows; or a mixin that goes before it. By name: most services have installed
what one of them needs.
"""


def counting_class(cfg: Any) -> type[CountingWorker]:
    """hvd's class of worker for gunicorn's setting worker_class. Raises SettingsError for what is no class."""
    name = cfg.worker_class_str
    try:
        chosen = cfg.worker_class
    except (Exception, SystemExit) as error:  # of the module that is imported, too
        raise SettingsError([f"worker class {name!r} can't be loaded: {_reason(error)}"]) from None
    if not isinstance(chosen, type):
        raise SettingsError([f"worker class {name!r} is no class"])
    try:
        return counting(chosen)
    except TypeError as error:
        raise SettingsError([f"worker class {name!r} can't be combined with hvd's: {error}"]) from None


def check_for_hvds_app(cfg: Any) -> None:
    """Raises SettingsError where hvd's own app can't be served: it passes sockets on as threads have them."""
    if not issubclass(counting_class(cfg), RoomyWorker):
        name = cfg.worker_class_str
        needed = "can't serve hvd's own endpoints, which need gthread or sync (HVD_WORKER_CLASS)"
        raise SettingsError([f"worker class {name!r} {needed}; put your app under it with hvd run"])


@functools.cache
def counting(chosen: type) -> type[CountingWorker]:
    """The class that counts for this one. Raises TypeError where the two can't be combined."""
    if issubclass(chosen, CountingWorker):
        return chosen
    for base in chosen.__mro__:
        if ours := COUNTING.get(f"{base.__module__}.{base.__qualname__}"):
            if base is not chosen:
                is_on_its_own = base is ThreadWorker and _has_own_loop(chosen)
                return _combined(chosen, WorkerOfThreads if is_on_its_own else counting(base), chosen)
            module, _, name = ours.rpartition(".")
            known: type[CountingWorker] = getattr(import_module(module), name)
            return known if issubclass(known, base) else _combined(known, base, base)
    return _combined(chosen, CountingWorker, chosen)


def _has_own_loop(chosen: type) -> bool:
    """Whether a subclass of gunicorn's threaded worker overrides something in whose place hvd has its own loop, or
    passes over that, as it calls its base by name: no `super()` is in its `init_process`.
    """
    for cls in chosen.__mro__[: chosen.__mro__.index(ThreadWorker)]:
        begin = vars(cls).get("init_process")
        calls_super = "__class__" in getattr(getattr(begin, "__code__", None), "co_freevars", ())
        if not WorkerOfThreads.hvd_own_loop.isdisjoint(vars(cls)) or (begin and not calls_super):
            return True
    return False


def _combined(first: type, second: type, chosen: type) -> type[CountingWorker]:
    about = {"__module__": first.__module__, "__qualname__": first.__qualname__, "__doc__": first.__doc__}
    about["setting"] = f"{chosen.__module__}.{chosen.__qualname__}"
    combined: type[CountingWorker] = type(first)(first.__name__, (first, second), about)
    return combined


def _reason(error: BaseException) -> str:
    """The last line of gunicorn's message, which has a whole traceback (27.0.1, util.load_class)."""
    lines = [line for line in str(error).splitlines() if line.strip(" []")]
    return lines[-1].strip(" []") if lines else type(error).__name__
