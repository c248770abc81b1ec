"""gunicorn's application, started by `hvd run`: hvd is put under it, whatever its configuration says.

gunicorn reads its command line from sys.argv, at each reload too, and executes an upgrade (USR2) with what sys.argv was
when the arbiter was made: so gunicorn's part stands there only while its settings are read.
"""

import contextlib
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from gunicorn.app.wsgiapp import WSGIApplication
from gunicorn.errors import ConfigError

from hvd.daemon import conf, hooks
from hvd.daemon.run.look import look_at
from hvd.errors import CannotStart
from hvd.settings.variables import environment

OWN_CONF = "python:hvd.gunicorn_conf"
UVICORN = "uvicorn_worker.UvicornWorker"


class RunApplication(WSGIApplication):  # type: ignore[misc]  # gunicorn has no types
    """An app under gunicorn and hvd; without an app hvd's own daemon, an agent for the machine."""

    def __init__(self, arguments: Sequence[str], admin_bind: str = "") -> None:
        """`arguments` are gunicorn's; `admin_bind` is what the command line says, "" for the settings' own."""
        self._arguments = list(arguments)
        self._worker_class = ""  # chosen here, as none was set
        self._inherits = "GUNICORN_PID" in environment()  # from the master that this one replaces
        hooks.take_hold()
        conf.show_page(admin_bind, choose=not self._inherits)
        super().__init__("%(prog)s [APP] [-- OPTIONS OF GUNICORN]", prog="hvd run")

    def load_config(self) -> None:
        """As gunicorn does; at a reload too."""
        try:
            self._load(self._arguments)
        except ConfigError:
            if self.app_uri is not None or self.cfg.wsgi_app is not None:
                raise
            self.load_default_config()
            self._load(["-c", OWN_CONF, *self._arguments])
        conf.be_guest(self.app_uri != conf.OWN_APP or not conf.has_own_settings())
        if self._worker_class and self._has_default_class:
            self.cfg.set("worker_class", self._worker_class)

    def _load(self, arguments: list[str]) -> None:
        command, sys.argv = sys.argv, [sys.argv[0], *arguments]
        try:
            super().load_config()
        finally:
            sys.argv = command

    @property
    def _has_default_class(self) -> bool:
        return bool(self.cfg.settings["worker_class"].get() == "sync")

    def run(self) -> None:
        """Raises CannotStart for an app that can't be had: with one line, rather than one of each worker's."""
        if conf.is_guest():
            look = look_at(self.app_uri, self._load_app, any_interface=not self._has_default_class)
            if look.trouble:
                raise CannotStart(look.trouble)
            if look.is_asgi and self._has_default_class:
                has_uvicorn = look.is_awaited and find_spec("uvicorn_worker") and find_spec("uvicorn")
                self._worker_class = UVICORN if has_uvicorn else "asgi"
                self.cfg.set("worker_class", self._worker_class)
        super().run()

    def _load_app(self) -> Any:
        """In a process of its own: gunicorn puts these paths in front later."""
        for path in (self.cfg.pythonpath or "").split(","):
            if path:
                sys.path.insert(0, os.path.abspath(path))
        return self.load()

    def announce(self, listeners: Sequence[Any], page: str) -> None:
        """Once the daemon listens: where the app is, and where hvd's page."""
        if self.cfg.daemon:
            return
        app = self.app_uri if conf.is_guest() else "hvd's own daemon"
        why = ", chosen for an ASGI app" if self._worker_class else ""
        with contextlib.suppress(OSError):  # nobody reads it
            print(f"hvd: {app} is on {', '.join(map(str, listeners))} ({self.cfg.worker_class_str} workers{why})")
            if page:
                where = f"http://{page}" if not page.startswith("unix:") else f"{page}, which no browser opens"
                print(f"hvd: its page, /metrics and /ws are on {where}; in a terminal: hvd top")
            sys.stdout.flush()
