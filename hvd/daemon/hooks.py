"""hvd's part of gunicorn's hooks, in the order in which gunicorn calls them, and how it gets into them.

gunicorn has one function a hook, and setting it replaces the one before. So hvd sets none: once gunicorn has read its
settings, hvd puts its own part around whatever function is there. It goes first in hooks at a beginning, and last in
those at an end: a hook of the user's finds hvd ready, and its block there.

gunicorn has no hook for "the settings are read": `Arbiter.setup`, with which each start and reload begins, is wrapped
(27.0.1, arbiter.py: no public API; tests/unit/daemon/test_hooks.py fails if it changes). A part that is called once
more, by a hook of the user's, does nothing.
"""

import atexit
import functools
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.http.errors import InvalidHeader

from hvd.core.backlog import note_listeners
from hvd.core.descriptors import explain
from hvd.core.proc import die_with_parent, require_system_calls
from hvd.daemon import conf
from hvd.daemon.arbiter import Loop
from hvd.daemon.classes import check_for_hvds_app, counting_class
from hvd.daemon.code import take_into_memory
from hvd.daemon.logs import error_log, log_through, make_harmless, suit_journal
from hvd.daemon.master import Master
from hvd.daemon.notify import VARIABLES, Manager
from hvd.daemon.ownership import pass_on
from hvd.daemon.sockets import keep_numbers
from hvd.daemon.stacks.workers import pass_file_on
from hvd.errors import BlockError, BlockFull, CannotStart, NoFreeSlot, SettingsError
from hvd.instrument import wsgi
from hvd.instrument.counting import counting
from hvd.metrics import parent
from hvd.metrics.prometheus import folder, front
from hvd.settings.environ import take_out
from hvd.settings.journal import complaint_line

BEGINNINGS = (
    *("on_starting", "on_reload", "when_ready", "post_fork", "post_worker_init", "pre_request", "post_request"),
    "on_dirty_starting",
)
ENDS = ("pre_exec", "pre_fork", "child_exit", "worker_exit", "on_exit")
HOOKS = (*BEGINNINGS, *ENDS)
CONTAINED = ("on_reload", "child_exit", "worker_exit")
"""Hooks in the master's loop, which an exception of the user's part would end, and the daemon with it."""

UNKNOWN_CLASS = (
    "hvd: worker class %s is none that hvd knows: what its app answers is counted, each to the end of its body; "
    "what the class answers itself is not, and post-mortems may be without the requests' texts"
)

_master: Master | None = None


def take_hold() -> None:
    """From now on, put hvd's parts around the hooks of each arbiter that this process starts or reloads."""
    take_out([parent.VARIABLE])  # a daemon that a process of another one starts counts in a block of its own
    setup = Arbiter.setup
    if hasattr(setup, "hvd"):
        return

    @functools.wraps(setup)
    def setup_with_hvd(server: Any, app: Any) -> None:
        counting.is_in_daemon = True
        compose(app.cfg)
        if not _master:
            _refuse_unusable_class(app.cfg)
        warning = "" if _master else conf.install_front(app.cfg)  # before `setup` loads an app that is preloaded
        setup(server, app)
        suit_journal(server.log)
        if warning:
            server.log.warning(warning)
        if _master:  # a reload, which goes on with the class of the start
            server.worker_class = _master.worker_class

    setup_with_hvd.hvd = True  # type: ignore[attr-defined]
    Arbiter.setup = setup_with_hvd


def _refuse_unusable_class(cfg: Any) -> None:
    """Before gunicorn loads it, and answers with a traceback."""
    try:
        counting_class(cfg)
    except SettingsError as error:
        print(complaint_line(f"hvd: {error}"), file=sys.stderr)
        sys.exit(2)


def compose(cfg: Any) -> None:
    """Put hvd's parts around the hooks of this configuration of gunicorn's, or nothing where they are already."""
    for name in HOOKS:
        if name == "pre_request" and conf.is_guest():
            continue  # another app's requests are for that app to check
        ours, setting = globals()[name], cfg.settings[name]
        if setting.value is ours or hasattr(setting.value, "hvd"):
            continue
        is_default = setting.value is setting.default
        setting.value = ours if is_default else _composed(name, ours, setting.value)


def _composed(name: str, ours: Callable[..., None], theirs: Callable[..., Any]) -> Callable[..., None]:
    def contained(server: Any, *args: Any) -> None:
        try:
            theirs(server, *args)
        except Exception:
            server.log.exception("the hook %s failed", name)

    call = contained if name in CONTAINED else theirs

    @functools.wraps(theirs)
    def at_the_beginning(*args: Any) -> None:
        ours(*args)
        call(*args)

    @functools.wraps(theirs)
    def at_the_end(*args: Any) -> None:
        try:
            call(*args)
        finally:
            ours(*args)

    composed = at_the_beginning if name in BEGINNINGS else at_the_end
    composed.hvd = True  # type: ignore[attr-defined]
    return composed


def master() -> Master:
    """This master's part of hvd; workers inherit it. Raises RuntimeError before `on_starting`."""
    if _master is None:
        raise RuntimeError("hvd's on_starting hook has not run")
    return _master


def on_starting(server: Any) -> None:
    """Make or take over the block. What can't be used ends the start with one clear message."""
    global _master
    if _master:
        return
    log_through(error_log(server.log))
    make_harmless(server.log, is_guest=conf.is_guest())
    manager = Manager.of(take_out(VARIABLES))  # before gunicorn says that all is ready
    # Until gunicorn takes them: their default leaves the block, or prints a traceback.
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(signum, _end_start)
    try:
        conf.check_app(server.app)
        server.worker_class = counting_class(server.cfg)
        conf.check_heartbeat(server.cfg)
        settings = conf.in_force(server.cfg)
        if unused := conf.unused(server.cfg):
            server.log.warning(
                "hvd: without effect here: %s; gunicorn's own settings decide on that", ", ".join(unused)
            )
        serves_hvd = not conf.is_guest()
        if getattr(server.app, "app_uri", None) == conf.OWN_APP:
            check_for_hvds_app(server.cfg)
        conf.name_processes(server.cfg, settings)
        server.proc_name = server.cfg.proc_name + (".2" if server.master_pid else "")  # as Arbiter.start does
        if not server.worker_class.is_known:
            server.log.warning(UNKNOWN_CLASS, server.cfg.worker_class_str)
        require_system_calls()
        code = take_into_memory(app=serves_hvd, jobs=serves_hvd and bool(settings.job_kinds))
        _master = Master(server, settings, code, manager)
        atexit.register(_master.leave)  # gunicorn calls no hook where it can't bind, or where its loop fails
        # Only now: until the block can be had, the last workers of a killed daemon may listen on its socket.
        _master.unix_sockets.refuse_taken()
    except (OSError, BlockError, CannotStart, SettingsError) as error:
        text = explain(error) if isinstance(error, OSError) else str(error)
        print(complaint_line(f"hvd: {text}"), file=sys.stderr)
        sys.exit(2 if isinstance(error, SettingsError) else 1)
    Loop(server, _master).take_over()
    gc.collect()
    gc.freeze()  # else a collection writes to all that workers share with the master: 7 MB more of each


def _end_start(signum: int, frame: object) -> None:
    sys.exit(128 + signum)


def on_reload(server: Any) -> None:
    """HUP: apply the settings, which were read again by now."""
    master().apply_coming()


def when_ready(server: Any) -> None:
    """In the master: it listens, and has no worker yet."""
    master().unix_sockets.note()
    note_listeners(master().block, (listener.fileno() for listener in server.LISTENERS))
    master().log_start()
    master().safely(master().tell_start)
    if announce := getattr(server.app, "announce", None):  # of `hvd run`
        announce(server.LISTENERS, master().admin.served)


def pre_exec(server: Any) -> None:
    """In what becomes the new master at an upgrade (USR2), before it is executed: what it gets from this one."""
    keep_numbers(server)
    pass_on(master().block, server.cfg.env_orig)
    master().lead.manager.pass_on(server.cfg.env_orig)
    master().admin.pass_on(server.cfg.env_orig)
    pass_file_on(master().stack_file, server.cfg.env_orig)
    folder.drop(server.cfg.env_orig)


def pre_fork(server: Any, worker: Any) -> None:
    """In the master: the worker's slot. Raises NoFreeSlot, BlockError; another app than hvd's is served without it."""
    worker.answers_as_hvd = not conf.is_guest()
    try:
        master().workers.before_fork(worker)
    except (NoFreeSlot, BlockFull) as error:
        if not conf.is_guest():
            raise
        worker.hvd_trouble = str(error)
    else:
        worker.hvd_parts = master().enter_worker


def post_fork(server: Any, worker: Any) -> None:
    """In the worker: its parts."""
    worker.hvd_enter()


def post_worker_init(worker: Any) -> None:
    """In the worker, once its app is loaded. It ends with its master, even where the app has changed its user."""
    worker.die_with_master()
    worker.say_ready()
    front.say_serving()


def on_dirty_starting(arbiter: Any) -> None:
    """In gunicorn's dirty arbiter, which looks after workers of its own: it goes with the master, and keeps nothing of
    the daemon that the next one has to wait for.
    """
    master().enter_child()
    die_with_parent(master().pid, signal.SIGTERM)


def pre_request(worker: Any, req: Any) -> None:
    """In the worker, before a request is served: HTTP/1.1 without Host is answered 400 (RFC 9112, section 3.2).

    gunicorn takes it (27.0.1), and reads of this hook's exceptions, as of its parser's, what to answer.
    """
    log = getattr(worker.log, "error_log", None)
    if log is None or log.isEnabledFor(logging.DEBUG):  # to ask first costs a third of asking by `debug`
        worker.log.debug("%s %s", req.method, req.path)  # as gunicorn's own hook
    if (1, 1) <= req.version < (2, 0):
        for name, _ in req.headers:
            if name == "HOST":
                return
        raise InvalidHeader("HOST is missing", req=req)


post_request = wsgi.post_request
"""In the worker, in the thread that served: the response is sent, or given up."""


def child_exit(server: Any, worker: Any) -> None:
    """In the master: a worker was reaped."""
    master().settle(worker)


def worker_exit(server: Any, worker: Any) -> None:
    """In the worker, at its end; in the master only for a worker that was gone when it was to be stopped."""
    if os.getpid() == server.pid:
        master().settle(worker)


def on_exit(server: Any) -> None:
    """In the master, last of all."""
    master().leave()
