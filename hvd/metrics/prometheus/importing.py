"""Act once a module has been imported by any code; an app that doesn't use the module pays nothing."""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType


class _Watcher(MetaPathFinder):
    """Finds nothing itself: it lets the others find the module, and has their loader call back."""

    def __init__(self, name: str, act: Callable[[], None]) -> None:
        self._name, self._act = name, act

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        try:
            spec = find_spec(fullname)
        except BaseException:
            sys.meta_path.insert(0, self)
            raise
        if spec is None or spec.loader is None:
            sys.meta_path.insert(0, self)
            return None
        loader, load = spec.loader, spec.loader.exec_module

        def load_and_act(module: ModuleType) -> None:
            del loader.exec_module  # the instance's: the class's is there again
            load(module)
            self._act()

        loader.exec_module = load_and_act  # type: ignore[method-assign]
        return spec


def after_import(name: str, act: Callable[[], None]) -> None:
    """Call `act` once this top-level module has been imported: at once, where it has been."""
    if name in sys.modules:
        act()
    else:
        sys.meta_path.insert(0, _Watcher(name, act))
