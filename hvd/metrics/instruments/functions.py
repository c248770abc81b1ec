"""Gauges whose value a function gives: it is called when this process is asked, and once a second for other readers.

The thread that does the latter is there only where the process has a slot of a worker or of a joined process, and a
gauge of this kind: a master has none, and forks.
"""

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

from hvd.core import layout
from hvd.core.own.store import own_store

PERIOD = 1.0
"""Seconds from one call to the next; broadcasts are 2 s apart, scrapes more."""


class Functions:
    """The functions of this process's gauges. Thread-safe."""

    def __init__(self, period: float = PERIOD) -> None:
        self._functions: weakref.WeakKeyDictionary[Any, Callable[[], float]] = weakref.WeakKeyDictionary()
        self._failed: weakref.WeakSet[Any] = weakref.WeakSet()
        self._period = period
        self.forget_thread()

    def forget_thread(self) -> None:
        """In a forked child: it has none."""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, gauge: Any, function: Callable[[], float]) -> None:
        """Have this function give the gauge's value from now on."""
        with self._lock:
            self._functions[gauge] = function
        self.start()

    def evaluate(self) -> None:
        """Call them all. One that raises leaves its gauge as it was; the log says so once."""
        if not self._functions:
            return
        with self._lock:
            functions = list(self._functions.items())
        for gauge, function in functions:
            try:
                gauge.take(float(function()))
            except Exception as error:
                if gauge not in self._failed:
                    import logging  # not at the top: an app imports instruments in little time

                    self._failed.add(gauge)
                    logging.getLogger("hvd").warning("hvd: the function of %s failed: %r", gauge, error)

    def start(self) -> None:
        """Have them called again and again, where this process is one that others read."""
        with self._lock:
            if self._thread or not self._functions or not _counts_for_others():
                return
            self._thread = threading.Thread(target=self._run, name="hvd-functions", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(self._period):
            self.evaluate()
            with self._lock:
                if not self._functions:  # their gauges are gone
                    self._thread = None
                    return


def _counts_for_others() -> bool:
    block, slot = own_store.block, own_store.slot
    if block is None:
        return False
    kind = block.cells[block.layout.slot_cell(slot) + layout.S_KIND]
    return kind in (layout.KIND_WORKER, layout.KIND_JOINED)


functions = Functions()
"""Those of this process."""

evaluate = functions.evaluate
os.register_at_fork(after_in_child=functions.forget_thread)
own_store.attached = functions.start
