"""The parts of prometheus_client that hvd replaces. Each goes on to the original code for metrics that aren't hvd's.

Classes keep their identity, as libraries bind them when they are imported: single methods of theirs are replaced.
Read in prometheus_client 0.26.0: metrics.py (MetricWrapperBase, `_metric_init` and `_child_samples` of each kind,
`_metrics` and `_lock` of a parent, the environment), registry.py, multiprocess.py; a test holds what is used.
"""

import functools
import time
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import metrics, values
from prometheus_client.metrics import Counter, Enum, Gauge, Histogram, Info, MetricWrapperBase, Summary
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import CollectorRegistry, RestrictedRegistry

from hvd.core.own.catalogue import bounded_labels
from hvd.metrics.instruments.functions import functions
from hvd.metrics.instruments.states import text_of
from hvd.metrics.prometheus import folder
from hvd.metrics.prometheus.families import FAMILY, Family, adopt, family_of, registries, withdraw
from hvd.metrics.prometheus.reading import Reading, during, reading_now
from hvd.metrics.prometheus.samples import add_samples, as_files, own_families, readable
from hvd.metrics.prometheus.values import Series, Value, making
from hvd.settings.variables import environment

KINDS = Counter, Gauge, Summary, Histogram, Info, Enum
SERIES = "_hvd_series"
"""The attribute of an enum, or of its child, that has its series."""
TAKER = "_hvd_taker"
"""That of a gauge which a function gives."""
REGISTRY_SEEN = "_hvd_registry"
"""That of an enum which is being made, and is registered already."""

NEW = ("remove_by_labels",)
"""Names that the oldest supported version lacks."""

_samples_of_theirs = {kind._child_samples for kind in KINDS}


def _replace(owner: Any, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Have a function, which gets the original one first, in the place of a method."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        _replacements.append((owner, name, function))
        return function

    return decorate


_replacements: list[tuple[Any, str, Callable[..., Any]]] = []


def apply() -> None:
    """Replace them all, once in a process. Raises AttributeError, with nothing replaced, where one isn't there."""
    applicable = [
        (owner, name, function) for owner, name, function in _replacements if name not in NEW or hasattr(owner, name)
    ]
    originals = [getattr(owner, name) for owner, name, _ in applicable]
    for (owner, name, function), original in zip(applicable, originals, strict=True):
        setattr(owner, name, functools.wraps(original)(_bound(function, original)))
    MetricWrapperBase.labels = _fast_labels(MetricWrapperBase.labels)  # type: ignore[method-assign]
    values.ValueClass = Value
    setattr(metrics, "os", types.SimpleNamespace(environ=_Environ()))  # noqa: B010  # which it doesn't export


def _bound(function: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    def replacement(self: Any, *args: Any, **named: Any) -> Any:
        return function(original, self, *args, **named)

    return replacement


class _Environ:
    """The environment as metrics.py sees it, which warns of what several processes can't do where the variable is set:
    with hvd's folder it isn't.
    """

    def __contains__(self, name: str) -> bool:
        return name in environment() and not folder.is_own(environment()[name])

    def get(self, name: str, default: Any = None) -> Any:
        return environment().get(name, default)


def _take_parent(metric: Any) -> Any:
    """Of a child that is being made, its parent, which `labels` has noted; of others, and without one, the metric."""
    parent = making.parent
    if not metric._labelvalues or parent is None or parent._name != metric._name:
        return metric
    making.parent = None
    return parent


def _is_in_force() -> bool:
    """Whether hvd's value class is still in place."""
    return bool(values.ValueClass is Value)


def _make_values(original: Callable[[Any], None], self: Any) -> None:
    """`_metric_init`: of a metric without labels, or of a child."""
    if not _is_in_force():
        original(self)
        return
    family = family_of(_take_parent(self))
    before, making.series = making.series, family.series(tuple(self._labelvalues))
    try:
        original(self)
    finally:
        making.series = before


for _kind in (Counter, Gauge, Summary, Histogram):
    _replace(_kind, "_metric_init")(_make_values)


@_replace(Info, "_metric_init")
def _make_info(original: Callable[[Any], None], self: Any) -> None:
    original(self)
    setattr(self, FAMILY, family_of(_take_parent(self)))
    _say(self, {}, 0.0)


@_replace(Info, "info")
def _info(original: Callable[..., None], self: Any, val: dict[str, str]) -> None:
    original(self, val)
    if getattr(self, FAMILY, None):
        _say(self, val, time.time())


def _say(info: Any, val: dict[str, str], when: float) -> None:
    place: Any = getattr(info, FAMILY).series((*info._labelvalues, text_of(val))).place
    place.set(when, when)  # so own_families sees which was said last


@_replace(Enum, "__init__")
def _make_enum(original: Callable[..., None], self: Any, *args: Any, **named: Any) -> None:
    """It gets its states when it is registered already."""
    original(self, *args, **named)
    parent = _take_parent(self)
    if self._is_observable():
        setattr(self, SERIES, family_of(parent).series(tuple(self._labelvalues)))
        _show_state(self, 0.0)
    if (registry := self.__dict__.pop(REGISTRY_SEEN, None)) is not None:
        adopt(self, registry)


@_replace(Enum, "state")
def _state(original: Callable[..., None], self: Any, state: str) -> None:
    original(self, state)
    if getattr(self, SERIES, None):
        _show_state(self, time.time())


def _show_state(enum: Any, when: float) -> None:
    place: Any = getattr(enum, SERIES).place
    place.set(float(enum._value), when)


class _Taker:
    """Takes what the function of a gauge gives; lasts as long as the gauge."""

    def __init__(self, gauge: Gauge, series: Series) -> None:
        self._text, self._series, self._is_most_recent = str(gauge), series, gauge._is_most_recent

    def take(self, value: float) -> None:
        place: Any = self._series.place
        place.set(value, time.time() if self._is_most_recent else 0.0)

    def __str__(self) -> str:
        return self._text


@_replace(Gauge, "set_function")
def _set_function(original: Callable[..., None], self: Any, f: Callable[[], float]) -> None:
    """For other processes a thread calls it (hvd/metrics/instruments/functions.py)."""
    original(self, f)
    if isinstance(self._value, Value):
        taker = _Taker(self, self._value.give_up())
        setattr(self, TAKER, taker)
        functions.add(taker, f)


def _fast_labels(original: Callable[..., Any]) -> Callable[..., Any]:
    """`labels`, which finds a child without a lock where all values are texts: a dict is safe to look into."""

    @functools.wraps(original)
    def labels(self: Any, *labelvalues: Any, **labelkwargs: Any) -> Any:
        values = labelvalues
        try:
            if labelkwargs:
                values = tuple([labelkwargs[name] for name in self._labelnames])
            child = self._metrics[values]
        except (AttributeError, KeyError, TypeError):
            return _find_child(original, self, labelvalues, labelkwargs)
        if labelkwargs and (labelvalues or len(labelkwargs) != len(values)):
            return _find_child(original, self, labelvalues, labelkwargs)
        for value in values:
            if type(value) is not str:  # it may equal a text that it is not written as
                return _find_child(original, self, labelvalues, labelkwargs)
        return child

    return labels


def _find_child(original: Callable[..., Any], self: Any, values: tuple[Any, ...], named: dict[str, Any]) -> Any:
    before, making.parent = making.parent, self
    try:
        return original(self, *values, **named)
    finally:
        making.parent = before


@_replace(MetricWrapperBase, "remove")
def _remove(original: Callable[..., None], self: Any, *labelvalues: Any) -> None:
    original(self, *labelvalues)
    if family := getattr(self, FAMILY, None):
        wanted = tuple(map(str, labelvalues))
        both = wanted, bounded_labels(wanted)
        family.remove(lambda labels: labels[: len(wanted)] in both)


@_replace(MetricWrapperBase, "remove_by_labels")
def _remove_by_labels(original: Callable[..., None], self: Any, labels: dict[str, str]) -> None:
    original(self, labels)
    if labels and (family := getattr(self, FAMILY, None)):
        wanted = {
            self._labelnames.index(name): (str(value), *bounded_labels([str(value)])) for name, value in labels.items()
        }
        family.remove(lambda labels: all(labels[index] in texts for index, texts in wanted.items()))


@_replace(MetricWrapperBase, "clear")
def _clear(original: Callable[..., None], self: Any) -> None:
    original(self)
    if self._labelnames and (family := getattr(self, FAMILY, None)):
        family.clear()


@_replace(MetricWrapperBase, "collect")
def _collect(original: Callable[[Any], Iterable[Metric]], self: Any) -> Iterable[Metric]:
    """The sums of all processes; its own of a metric that isn't in the block, or which a subclass reads in its way."""
    family: Family | None = getattr(self, FAMILY, None)
    if family is None:
        return original(self)
    if (
        family.in_store is None
        or family.in_store.in_block is None
        or self._labelvalues
        or type(self)._child_samples not in _samples_of_theirs
    ):
        return [readable(metric) for metric in original(self)]
    reading = reading_now()
    if reading.is_covered and not family.definition.registry:
        return []  # the MultiProcessCollector of this registry gives it
    figures = reading.of(family.definition)
    if figures is None:
        return [readable(metric) for metric in original(self)]
    metric = self._get_metric()
    add_samples(metric, figures)
    return [metric]


def _is_parent(metric: Any) -> bool:
    return bool(metric._is_parent())


@_replace(CollectorRegistry, "register")
def _register(original: Callable[..., None], self: Any, collector: Any) -> None:
    original(self, collector)
    if isinstance(collector, Enum) and not hasattr(collector, "_states"):
        setattr(collector, REGISTRY_SEEN, self)
    elif getattr(collector, FAMILY, None) or (
        isinstance(collector, KINDS) and _is_parent(collector) and _is_in_force()
    ):
        adopt(collector, self)


@_replace(CollectorRegistry, "unregister")
def _unregister(original: Callable[..., None], self: Any, collector: Any) -> None:
    original(self, collector)
    if isinstance(collector, KINDS):
        withdraw(collector)


@_replace(CollectorRegistry, "collect")
def _collect_all(original: Callable[[Any], Iterable[Metric]], self: Any) -> Iterator[Metric]:
    yield from _together(original(self), Reading(is_covered=registries.collects_all(self)))


@_replace(RestrictedRegistry, "collect")
def _collect_some(original: Callable[[Any], Iterable[Metric]], self: Any) -> Iterator[Metric]:
    yield from _together(original(self), Reading(is_covered=registries.collects_all(self._registry)))


def _together(collected: Iterable[Metric], reading: Reading) -> Iterator[Metric]:
    """All that is collected, by one reading of the block: at each step, as another registry may be read between two."""
    metrics = iter(collected)
    while True:
        with during(reading):
            metric = next(metrics, None)
        if metric is None:
            return
        yield metric


@_replace(MultiProcessCollector, "__init__")
def _make_collector(original: Callable[..., None], self: Any, registry: Any, path: str | None = None) -> None:
    """For hvd's folder; one with files of prometheus_client's is read as without hvd."""
    if not folder.is_own(folder.named() if path is None else path):
        original(self, registry, path)
        return
    self._path = None
    if registry:
        registries.note_collector(registry)
        registry.register(self)


@_replace(MultiProcessCollector, "collect")
def _collect_processes(original: Callable[[Any], Iterable[Metric]], self: Any) -> Iterable[Metric]:
    if self._path is not None:
        return original(self)
    figures = reading_now().figures
    return list(as_files(figures.families if figures else own_families()))
