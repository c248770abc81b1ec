"""Acting once a module has been imported."""

import importlib
import sys
from pathlib import Path

import pytest

from hvd.metrics.prometheus.importing import after_import


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that can be imported, and isn't yet."""
    (tmp_path / "late_module.py").write_text("from late_module import __spec__\nvalue = 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.delitem(sys.modules, "late_module", raising=False)
    return "late_module"


def test_it_acts_after_the_import(module: str) -> None:
    """Once, with the module complete, and nothing of it stays behind."""
    finders, seen = len(sys.meta_path), list[int]()
    after_import(module, lambda: seen.append(sys.modules[module].value))
    assert not seen
    loaded = importlib.import_module(module)
    assert seen == [1]
    assert len(sys.meta_path) == finders
    importlib.reload(loaded)
    assert seen == [1]


def test_it_acts_at_once_where_it_was_imported(module: str) -> None:
    """An app may have been imported before."""
    importlib.import_module(module)
    seen: list[int] = []
    after_import(module, lambda: seen.append(1))
    assert seen == [1]


def test_a_module_that_is_missing_is_missing(module: str) -> None:
    """The error is the usual one, and a later import is still watched."""
    seen: list[int] = []
    after_import("no_such_module", lambda: seen.append(1))
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("no_such_module")
    assert not seen
