"""Registries: which collectors are read together, and that no two of them give series of one name."""

from collections.abc import Iterable, Iterator, Mapping
from threading import Lock
from typing import Any

from hvd.metrics.instruments.metric import make_metric

SUFFIXES: dict[str, tuple[str, ...]] = {
    "counter": ("_total", "_created"),
    "summary": ("_sum", "_count", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "gaugehistogram": ("_bucket", "_gsum", "_gcount"),
    "info": ("_info",),
}
"""What the names of a metric's series add to its own."""


Collector = Any
"""Whatever has `collect`, which gives metrics; where it also has `describe`, that says which names these have."""


class DuplicateTimeseries(ValueError):  # noqa: N818 -- prometheus_client's name of it
    """A registry has series of these names already."""

    def __init__(self, duplicates: set[str]) -> None:
        super().__init__(f"Duplicated timeseries in CollectorRegistry: {duplicates}")
        self.duplicates = duplicates


class _Nothing:
    def collect(self) -> Iterable[Any]:
        return []


class CollectorRegistry:
    """Collectors that are read together. Thread-safe."""

    def __init__(
        self,
        auto_describe: bool = False,
        target_info: Mapping[str, str] | None = None,
        support_collectors_without_names: bool = False,
    ) -> None:
        """With `auto_describe` a collector without `describe` is collected once, as it is registered, for its names."""
        self._names: dict[Collector, list[str]] = {}
        self._collectors: dict[str, Collector] = {}
        self._nameless: list[Collector] = []
        self._auto_describe, self._supports_nameless = auto_describe, support_collectors_without_names
        self._target_info: Mapping[str, str] | None = {}
        self._lock = Lock()
        self.set_target_info(target_info)

    def register(self, collector: Collector) -> None:
        """Add a collector. Raises DuplicateTimeseries."""
        with self._lock:
            names = self._names_of(collector)
            duplicates = set(self._collectors).intersection(names)
            if duplicates:
                raise DuplicateTimeseries(duplicates)
            self._collectors.update(dict.fromkeys(names, collector))
            self._names[collector] = names
            if self._supports_nameless and not names:
                self._nameless.append(collector)

    def unregister(self, collector: Collector) -> None:
        """Take a collector out, which frees its names. Raises KeyError where it isn't in."""
        with self._lock:
            for name in self._names[collector]:
                del self._collectors[name]
            del self._names[collector]
            if collector in self._nameless:
                self._nameless.remove(collector)
        if hasattr(type(collector), "withdraw"):
            collector.withdraw()

    def _names_of(self, collector: Any) -> list[str]:
        describe = getattr(collector, "describe", None)
        if not describe and self._auto_describe:
            describe = collector.collect
        metrics = describe() if describe else ()
        return [metric.name + suffix for metric in metrics for suffix in ("", *SUFFIXES.get(metric.type, ()))]

    def collect(self) -> Iterator[Any]:
        """All metrics, in order of registration."""
        with self._lock:
            collectors, target = list(self._names), self._target()
        if target:
            yield target
        yield from collect_together(collectors)

    def restricted_registry(self, names: Iterable[str]) -> "RestrictedRegistry":
        """This registry with only the samples of these names: only what has them is collected."""
        return RestrictedRegistry(names, self)

    def chosen(self, names: set[str]) -> tuple[Any, list[Collector]]:
        """-> the target's info where it is among the names, and the collectors that have one of them, or no names."""
        with self._lock:
            target = self._target() if "target_info" in names else None
            named = [self._collectors[name] for name in names if name != "target_info" and name in self._collectors]
            return target, list(dict.fromkeys([*self._nameless, *named]))

    def set_target_info(self, labels: Mapping[str, str] | None) -> None:
        """What `target_info` says of the process; nothing: it is left out. Raises ValueError where a metric has that
        name.
        """
        with self._lock:
            if labels:
                if not self._target_info and "target_info" in self._collectors:
                    raise ValueError("CollectorRegistry already contains a target_info metric")
                self._collectors["target_info"] = _Nothing()
            elif self._target_info:
                self._collectors.pop("target_info", None)
            self._target_info = labels

    def get_target_info(self) -> Mapping[str, str] | None:
        """What `target_info` says."""
        with self._lock:
            return self._target_info

    def _target(self) -> Any:
        if not self._target_info:
            return None
        metric = make_metric("target", "Target metadata", "info")
        metric.add_sample("target_info", self._target_info, 1)
        return metric

    def get_sample_value(self, name: str, labels: Mapping[str, str] | None = None) -> float | None:
        """The value of one series, None where there is none. It collects everything: for tests."""
        for metric in self.collect():
            for sample in metric.samples:
                if sample.name == name and sample.labels == (labels or {}):
                    return sample.value  # type: ignore[no-any-return]
        return None


class RestrictedRegistry:
    """A registry with only the samples of some names."""

    def __init__(self, names: Iterable[str], registry: CollectorRegistry) -> None:
        self._wanted, self._registry = set(names), registry

    def collect(self) -> Iterator[Any]:
        """The metrics that have one of the names, each with only those samples."""
        target, collectors = self._registry.chosen(self._wanted)
        if target:
            yield target
        for metric in collect_together(collectors):
            restricted = metric._restricted_metric(self._wanted)
            if restricted:
                yield restricted


def collect_together(collectors: Iterable[Any]) -> Iterator[Any]:
    """The metrics of these collectors; all of hvd's instruments among them as they are at one moment."""
    from hvd.metrics.instruments.reading import Reading  # not at the top: only readers need it

    reading = Reading()
    for collector in collectors:
        is_own = hasattr(type(collector), "collect_from")
        yield from collector.collect_from(reading) if is_own else collector.collect()


REGISTRY = CollectorRegistry(auto_describe=True)
"""The default one. What hvd's instruments in it count is shown on hvd's own /metrics."""
