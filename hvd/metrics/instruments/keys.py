"""Which registries count in the block, and how the catalogue names each: empty where `/metrics` shows its metrics."""

import os
import sys
import threading
import weakref
from typing import Any

from hvd.metrics.instruments.registry import REGISTRY

MOST_REGISTRIES = 16
"""Beside the default one, that count in the block: a family is in its catalogue for good, and an app may make a
registry for each request.
"""


class Keys:
    """The keys of registries. Thread-safe."""

    def __init__(self, prefix: str = "#") -> None:
        self._prefix = prefix
        self.are_all_shown = False
        """Whether the metrics of all registries, and of none, are shown with those of the default one."""
        self.is_serving = False
        """Whether the app is loaded: registries that are made from now on are the process's own."""
        self._lock = threading.Lock()
        self._keys: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self._count = 0

    def after_fork(self) -> None:
        """In a forked child: another thread may have had the lock."""
        self._lock = threading.Lock()

    def key_of(self, registry: Any) -> str | None:
        """A registry's: by order of appearance, which is the same in all processes of one app; None where only its own
        process counts its metrics. Default ones are hvd's and prometheus_client's.
        """
        other = sys.modules.get("prometheus_client.registry")
        if self.are_all_shown or registry is REGISTRY or (other and registry is other.REGISTRY):
            return ""
        if registry is None:
            return None
        with self._lock:
            if registry not in self._keys and not self.is_serving and self._count < MOST_REGISTRIES:
                self._count += 1
                self._keys[registry] = f"{self._prefix}{self._count}"
            return self._keys.get(registry)


keys = Keys()
"""Those of this process."""


os.register_at_fork(after_in_child=keys.after_fork)
