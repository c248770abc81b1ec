"""Kits: instruments of hvd's, of prometheus_client under hvd's front, and of prometheus_client itself."""

import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import prometheus_client
import prometheus_client.core
import prometheus_client.validation
import pytest

import hvd
from tests.unit.metrics.instruments.conftest import block, slot
from tests.unit.metrics.prometheus.conftest import attached, store

__all__ = ["DUPLICATES", "Kit", "attached", "block", "kit", "refuses", "slot", "store"]  # fixtures among them

NAMES = "Counter", "Gauge", "Histogram", "Summary", "Info", "Enum", "CollectorRegistry"
LIBRARIES = {
    "hvd": SimpleNamespace(**{name: getattr(hvd, name) for name in NAMES}),
    "hvd in a registry of theirs": SimpleNamespace(
        **{name: getattr(hvd, name) for name in NAMES[:-1]}, CollectorRegistry=prometheus_client.CollectorRegistry
    ),
    "prometheus_client": SimpleNamespace(**{name: getattr(prometheus_client, name) for name in NAMES}),
}
KITS = *LIBRARIES, "hvd in a block", "hvd's front", "hvd's front in a block"
DUPLICATES = hvd.DuplicateTimeseries, prometheus_client.core.DuplicateTimeseries


class Kit:
    """Makes instruments of one library, in a registry of their own."""

    def __init__(self, library: Any, *, is_in_block: bool = False) -> None:
        self.library, self.is_in_block = library, is_in_block
        self.registry: Any = library.CollectorRegistry()

    def __getattr__(self, kind: str) -> Callable[..., Any]:
        def make(name: str, *args: Any, **named: Any) -> Any:
            return getattr(self.library, kind)(name, "help", *args, **{"registry": self.registry, **named})

        return make

    def value(self, name: str, **labels: str) -> Any:
        """Of a gauge that says by itself which process it is of, too."""
        value = self.registry.get_sample_value(name, labels)
        if value is None and self.is_in_block:
            value = self.registry.get_sample_value(name, {**labels, "pid": str(os.getpid())})
        return value


@pytest.fixture(params=KITS)
def kit(request: pytest.FixtureRequest) -> Kit:
    where = request.param.removesuffix(" in a block")
    if where == "hvd's front":
        request.getfixturevalue("store")
    if where != request.param:
        request.getfixturevalue("slot" if where == "hvd" else "attached")
    return Kit(LIBRARIES.get(where, LIBRARIES["prometheus_client"]), is_in_block=where != request.param)


def refuses(call: Callable[..., object], *args: Any, **named: Any) -> None:
    """It can't count, as it has labels."""
    with pytest.raises(ValueError, match="missing label values"):
        call(*args, **named)
