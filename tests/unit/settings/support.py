"""Shared by the tests of the settings: what a variable, a file or a declaration makes of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hvd.errors import SettingsError
from hvd.settings.job_declarations import read_kinds
from hvd.settings.job_kinds import Kind
from hvd.settings.loader import load
from hvd.settings.table import variable


def value_of(key: str, text: str, **others: str) -> Any:
    """The value that a variable's text gives to a setting."""
    return getattr(load({variable(key): text, **others}).settings, key)


def problems_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """What is wrong with that environment."""
    with pytest.raises(SettingsError) as caught:
        load(environ)
    return caught.value.problems


def config(tmp_path: Path, text: str) -> dict[str, str]:
    """An environment that names a file with that text."""
    path = tmp_path / "hvd.toml"
    path.write_text(text)
    return {"HVD_CONFIG": str(path)}


def declared(declaration: dict[str, Any]) -> Kind:
    """The kind `k` of a declaration that is right."""
    kinds, faults = read_kinds({"k": declaration})
    assert faults == []
    return kinds["k"]
