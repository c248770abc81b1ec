"""Where this process counts the requests of the app that it serves, whatever app and server that are."""

import functools
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

from hvd.core.private import private_rows
from hvd.core.rows import Rows, ThreadRow
from hvd.instrument.extras import Extras
from hvd.metrics.table import FAMILIES
from hvd.settings.table import Settings


@dataclass(frozen=True)
class HttpSettings:
    """What is counted of requests. `exclude` matches the whole path of those that aren't; `sizes` and `queue_time` say
    whether these are kept; `routes` are the templates of paths that no framework has one for, each with its pattern.
    """

    exclude: re.Pattern[str] | None = None
    sizes: bool = True
    queue_time: bool = True
    routes: tuple[tuple[str, re.Pattern[str]], ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> "HttpSettings":
        """The rules of a daemon with these settings."""
        patterns = "|".join(f"(?:{pattern})" for pattern in settings.http_exclude)
        exclude = re.compile(patterns) if patterns else None
        routes = tuple((route, re.compile(pattern)) for route, pattern in settings.routes.items())
        return cls(exclude, settings.http_sizes, settings.http_queue_time, routes)

    def leave_out(self, path: str) -> bool:
        """Whether requests of this path are not counted."""
        return self.exclude is not None and self.exclude.fullmatch(path) is not None


class FilledCounting:
    """The process's rows, `local`, whose `row` is the caller's, and `extras`, what is kept of a request beside. Plain
    attributes, as each request reads them.
    """

    rows: Rows
    local: ThreadRow
    settings: HttpSettings
    is_in_daemon: bool
    is_server: bool
    """Whether requests are counted where they are served: a counted app within counts none, in any thread."""

    def fill(self, rows: Rows, settings: HttpSettings | None = None) -> None:
        """Count in these rows from now on, by these settings if any are given."""
        self.settings = settings or self.settings
        self.rows = rows
        self.local = rows.local
        vars(self).pop("extras", None)  # made at its first use, of these
        self.__class__ = FilledCounting

    def after_fork(self) -> None:
        """In a forked child: the rows are the parent's. One of a daemon's worker is no process of the daemon's."""
        self.is_in_daemon = self.is_in_daemon and "rows" not in vars(self)
        self._filling, self.is_server = threading.RLock(), False
        for name in ("rows", "local", "extras"):
            vars(self).pop(name, None)
        self.__class__ = Counting

    @functools.cached_property
    def extras(self) -> Extras:
        """Made at its first use."""
        rows, settings = self.rows, self.settings
        local = None if self.is_in_daemon else rows.local  # else the process may join, and get other rows
        return Extras(rows, sizes=settings.sizes, queue_time=settings.queue_time, local=local)


class Counting(FilledCounting):
    """The same before anybody has filled it: a class with `__getattr__` makes the look at each attribute cost 0.1 µs.

    The code that gives the process its slot fills it: gunicorn's hooks in a worker, `hvd.join` elsewhere. Before that,
    and in a child that such a process forked, the first use calls `first`, which fills it with a private block's rows.
    `is_in_daemon` is true in a daemon's master and in what it forks, which have no need to join. Thread-safe.
    """

    def __init__(self) -> None:
        self.settings = HttpSettings()
        self.is_in_daemon = False
        self.first: Callable[[], None] = lambda: self.fill(private_rows(FAMILIES))
        self.after_fork()

    def __getattr__(self, name: str) -> Rows | ThreadRow:
        if name not in ("rows", "local"):
            raise AttributeError(name)
        with self._filling:
            if "rows" not in vars(self):
                self.first()
        found: Rows | ThreadRow = vars(self)[name]
        return found


counting = Counting()
os.register_at_fork(after_in_child=counting.after_fork)
