"""Kinds of job for tests."""

from typing import Any

from hvd.settings.job_declarations import read_kinds
from hvd.settings.job_kinds import Kind


def declared(declaration: dict[str, Any]) -> Kind:
    """The kind `k` of a declaration that is right."""
    kinds, faults = read_kinds({"k": declaration})
    assert faults == []
    return kinds["k"]
