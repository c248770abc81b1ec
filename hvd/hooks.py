"""gunicorn's hooks, in the order in which gunicorn calls them."""

import atexit
import os
import signal
import sys
from dataclasses import replace
from typing import Any

from hvd.core.proc import die_with_parent
from hvd.errors import BlockError, SettingsError
from hvd.logs import error_log, log_through
from hvd.master import Master
from hvd.runtime import here
from hvd.settings import Settings, load
from hvd.web.counting import finishing
from hvd.workers import CLASSES

APPLIED = ("workers", "threads", "timeout", "graceful_timeout", "keepalive", "max_requests", "max_requests_jitter")
"""Settings of gunicorn's that a reload applies to the workers that come; log_level, and what Master.reload hands to
workers and companions (interval, allowed_origins, ping_interval, ping_timeout, max_clients, token, all of [jobs]), are
applied too."""

FIXED = ("bind", "instance", "slots", "max_series", "worker_class", "state_dir", "database_url")
"""Settings that take effect at the next start."""

_master: Master | None = None
_worker_class: type
_first: Settings  # those of the start, which hvd.gunicorn_conf has and keeps


def master() -> Master:
    """This master's part of hvd; workers inherit it. Raises RuntimeError before `on_starting`."""
    if _master is None:
        raise RuntimeError("hvd's on_starting hook has not run")
    return _master


def on_starting(server: Any) -> None:
    """Make or take over the block. What can't be used ends the start with one clear message."""
    global _master, _first, _worker_class
    settings = _first = load().settings
    log_through(error_log(server.log))
    try:
        _use_counting_worker(server)
        _worker_class = server.worker_class
        _master = Master(server, settings)
    except (BlockError, SettingsError) as error:
        print(f"hvd: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, SettingsError) else 1)
    _master.watch()
    atexit.register(_master.give_up)  # gunicorn calls no hook where it can't bind


def _use_counting_worker(server: Any) -> None:
    """gunicorn's own classes, named on its command line or by default, are replaced by ours."""
    chosen = server.worker_class
    if chosen not in CLASSES.values() and chosen not in CLASSES:
        raise SettingsError(
            [f"worker class {server.cfg.worker_class_str!r} is not supported: use gthread or sync (HVD_WORKER_CLASS)"]
        )
    server.worker_class = CLASSES.get(chosen, chosen)


def on_reload(server: Any) -> None:
    """HUP: read the settings again. Wrong ones are reported, and the old ones stay in force."""
    try:
        settings = load().settings
        _use_counting_worker(server)
    except SettingsError as error:
        server.log.error("hvd: reload goes on with the settings in force: %s", "; ".join(error.problems))
        server.worker_class = _worker_class
        apply_reloaded(server, _first, master().settings)
        return
    before = master().settings
    _warn_of_fixed(server, before, settings)
    settings = replace(settings, **{name: getattr(before, name) for name in FIXED})
    apply_reloaded(server, _first, settings)
    master().reload(settings)


def apply_reloaded(server: Any, first: Settings, now: Settings) -> None:
    """Give gunicorn the values in force: at each HUP it goes back to those of its imported settings module, `first`."""
    for name in APPLIED:
        value = getattr(now, name)
        if value != getattr(first, name):
            server.cfg.set(name, value)
    if now.log_level != first.log_level:
        server.cfg.set("loglevel", now.log_level)
        server.log.setup(server.cfg)
    if now.workers != first.workers:
        server.num_workers = now.workers
    server.timeout = server.cfg.timeout


def _warn_of_fixed(server: Any, before: Settings, now: Settings) -> None:
    fixed = [name for name in FIXED if getattr(before, name) != getattr(now, name)]
    if fixed:
        server.log.warning("hvd: %s changed; that takes effect at the next start", ", ".join(fixed))
    own_rows = master().block.layout.rows - 1
    if now.threads > own_rows:
        server.log.warning("hvd: threads above %d share a row, under a lock, until the next start", own_rows)


def when_ready(server: Any) -> None:
    """In the master: it listens, and has no worker yet. From here on, `on_exit` is called."""
    atexit.unregister(master().give_up)
    master().log_start()


def pre_fork(server: Any, worker: Any) -> None:
    """In the master: the worker's slot."""
    master().reserve_slot(worker)


def post_fork(server: Any, worker: Any) -> None:
    """In the worker: its parts."""
    here.fill(master().enter_worker(worker))


def post_worker_init(worker: Any) -> None:
    """In the worker, once it runs as the user it will be: end with the master, after a short grace."""
    die_with_parent(worker.ppid, signal.SIGTERM)


post_request = finishing(here)
"""In the worker, in the thread that served: the response is sent, or given up."""


def child_exit(server: Any, worker: Any) -> None:
    """In the master: a worker was reaped."""
    master().bury(worker)


def worker_exit(server: Any, worker: Any) -> None:
    """In the worker, at its end; in the master only for a worker that was gone when it was to be stopped."""
    if os.getpid() == server.pid:
        master().bury(worker)


def on_exit(server: Any) -> None:
    """In the master, last of all."""
    master().leave()
