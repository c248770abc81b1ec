"""The rules for names of metrics and of labels, and for exemplars: those of prometheus_client 0.26.0.

Any text that UTF-8 has is a name, unless legacy validation is on: then those of Prometheus before version 3 are.
"""

import sys
from collections.abc import Iterable, Mapping

from hvd.core.own.definition import COUNTER, INFO, STATESET

EXEMPLAR_CHARS = 128
"""How many characters the labels of an exemplar may have, names and values together (OpenMetrics 1.0)."""

_is_legacy = False


def enable_legacy_validation() -> None:
    """Allow only letters, digits, _ and : in the names declared from now on."""
    global _is_legacy
    _is_legacy = True


def disable_legacy_validation() -> None:
    """Allow any text as a name, as at the start."""
    global _is_legacy
    _is_legacy = False


def uses_legacy_validation() -> bool:
    """Whether it is on, here or in prometheus_client, where the process has that loaded."""
    other = sys.modules.get("prometheus_client.validation")
    return _is_legacy or (other is not None and bool(other.get_legacy_validation()))  # public there in 0.26.0


def full_name(kind: str, name: str, namespace: str, subsystem: str, unit: str) -> str:
    """The family's name: its parts joined by _, a counter's without _total. Raises ValueError."""
    if not name:
        raise ValueError("Metric name should not be empty")
    full = "_".join(part for part in (namespace, subsystem, name) if part)
    if kind == COUNTER:
        full = full.removesuffix("_total")
    if unit and not full.endswith(f"_{unit}"):
        full = f"{full}_{unit}"
    if unit and kind in (INFO, STATESET):
        raise ValueError(f"Metric name is of a type that cannot have a unit: {full}")
    check_metric_name(full)
    return full


def check_metric_name(name: str) -> None:
    """Raises ValueError where it can't be a metric's."""
    if not name:
        raise ValueError("metric name cannot be empty")
    if (uses_legacy_validation() and not _is_word(name.replace(":", "_"))) or not _is_utf8(name):
        raise ValueError(f"invalid metric name {name!r}")


def label_names(names: Iterable[str], reserved: Iterable[str] = ()) -> tuple[str, ...]:
    """The label names of a metric. Raises ValueError where one can't be: `reserved` are those which hvd sets itself."""
    labels, is_legacy = tuple(names), uses_legacy_validation()
    for name in labels:
        _check_label_name(name, is_legacy=is_legacy)
        if name in reserved:
            raise ValueError(f"Reserved label metric name: {name}")
    return labels


def check_exemplar(exemplar: Mapping[str, str]) -> None:
    """Raises ValueError where its labels can't be, or are longer than EXEMPLAR_CHARS."""
    is_legacy = uses_legacy_validation()
    count = 0
    for name, value in exemplar.items():
        _check_label_name(name, is_legacy=is_legacy)
        count += len(name) + len(value)
    if count > EXEMPLAR_CHARS:
        raise ValueError(f"Exemplar labels have {count} UTF-8 characters, exceeding the limit of {EXEMPLAR_CHARS}")


def _check_label_name(name: str, *, is_legacy: bool) -> None:
    if (is_legacy and not _is_word(name)) or not (name.isascii() or _is_utf8(name)):
        raise ValueError(f"Invalid label metric name: {name!r}")
    if name.startswith("__"):
        raise ValueError(f"Reserved label metric name: {name}")


def _is_word(name: str) -> bool:
    """Whether it has only letters, digits that are not its first character, and _."""
    return name.isascii() and name.isidentifier()


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True
