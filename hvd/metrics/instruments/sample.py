"""One line of a metric, and the example that it may have, in the form of prometheus_client.

Where the process has prometheus_client loaded, its own types are used, so that code which checks types accepts them.
"""

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple


class Exemplar(NamedTuple):
    """An example of what was counted: its labels, the amount, and when (Unix time in s)."""

    labels: Mapping[str, str]
    value: float
    timestamp: float | None = None


class Sample(NamedTuple):
    """One line of a metric: the name with its suffix, the labels, the value."""

    name: str
    labels: Mapping[str, str]
    value: float
    timestamp: float | None = None
    exemplar: Exemplar | None = None
    native_histogram: Any = None


def make_exemplar(labels: Mapping[str, str], value: float, time: float) -> Any:
    """An Exemplar: prometheus_client's, where the process has that loaded."""
    other = sys.modules.get("prometheus_client.samples")
    return (other.Exemplar if other else Exemplar)(labels, value, time)
