"""Shared by tests of what is made of own metrics: figures by hand, and the same metrics in a registry of the official
library.
"""

import random
from collections.abc import Iterable, Mapping
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry

from hvd.core.own.definition import Definition
from hvd.core.own.figures import Amounts, FamilyFigures, OwnFigures, Sample

CREATED = 1_769_200_100.25


def make_family(definition: Definition, values: Mapping[tuple[str, ...], Any], *more_labels: str) -> FamilyFigures:
    """A family whose series have these values."""
    samples = tuple(Sample(labels, value, CREATED) for labels, value in values.items())
    return FamilyFigures(definition, (*definition.labels, *more_labels), samples)


def make_own(*families: FamilyFigures, **more: Any) -> OwnFigures:
    """All of a daemon's."""
    return OwnFigures(families, **more)


class Both:
    """One set of metrics, as figures and in a registry of the official library."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.families: list[FamilyFigures] = []

    def counter(
        self, name: str, values: Mapping[tuple[str, ...], float], labels: Iterable[str] = (), **more: Any
    ) -> None:
        metric = prometheus_client.Counter(name, HELP, labels, registry=self.registry, **more)
        for of, value in values.items():
            (metric.labels(*of) if of else metric).inc(value)
        self._add("counter", name, labels, values, **more)

    def gauge(
        self, name: str, values: Mapping[tuple[str, ...], float], labels: Iterable[str] = (), **more: Any
    ) -> None:
        metric = prometheus_client.Gauge(name, HELP, labels, registry=self.registry, **more)
        for of, value in values.items():
            (metric.labels(*of) if of else metric).set(value)
        self._add("gauge", name, labels, values, **more)

    def summary(
        self, name: str, values: Mapping[tuple[str, ...], list[float]], labels: Iterable[str] = (), **more: Any
    ) -> None:
        metric = prometheus_client.Summary(name, HELP, labels, registry=self.registry, **more)
        for of, amounts in values.items():
            for amount in amounts:
                (metric.labels(*of) if of else metric).observe(amount)
        self._add("summary", name, labels, {of: Amounts((len(all),), _sum(all)) for of, all in values.items()}, **more)

    def histogram(
        self,
        name: str,
        values: Mapping[tuple[str, ...], list[float]],
        labels: Iterable[str] = (),
        buckets: tuple[float, ...] = (0.005, 0.1, 2.5, 10.0, 10_000_000.0),
    ) -> None:
        metric = prometheus_client.Histogram(name, HELP, labels, buckets=buckets, registry=self.registry)
        for of, amounts in values.items():
            for amount in amounts:
                (metric.labels(*of) if of else metric).observe(amount)
        ends = (*buckets, float("inf"))
        counted = {
            of: Amounts(
                tuple(
                    sum(low < one <= end for one in all) for low, end in zip((-float("inf"), *ends), ends, strict=False)
                ),
                _sum(all),
            )
            for of, all in values.items()
        }
        self._add("histogram", name, labels, counted, buckets=buckets)

    def info(self, name: str, values: Mapping[tuple[str, ...], dict[str, str]], labels: Iterable[str] = ()) -> None:
        metric = prometheus_client.Info(name, HELP, labels, registry=self.registry)
        for of, said in values.items():
            (metric.labels(*of) if of else metric).info(said)
        self._add("info", name, labels, values)

    def enum(
        self, name: str, values: Mapping[tuple[str, ...], int], states: tuple[str, ...], labels: Iterable[str] = ()
    ) -> None:
        metric = prometheus_client.Enum(name, HELP, labels, registry=self.registry, states=states)
        for of, value in values.items():
            (metric.labels(*of) if of else metric).state(states[value])
        self._add("stateset", name, labels, values, states=states)

    def _add(
        self, kind: str, name: str, labels: Iterable[str], values: Mapping[tuple[str, ...], Any], **more: Any
    ) -> None:
        unit = more.get("unit", "")
        base = name.removesuffix("_total") if kind == "counter" else name
        base = f"{base}_{unit}" if unit and not base.endswith(f"_{unit}") else base
        definition = Definition(base, kind, HELP, labels=tuple(labels), **more)
        self.families.append(make_family(definition, values))


HELP = 'What it is: a\\b "c"\nof two lines.'


def _sum(amounts: Iterable[float]) -> float:
    """As the library adds."""
    total = 0.0
    for amount in amounts:
        total += amount
    return total


HOSTILE = (
    *("", "plain", 'say "hi"', "back\\slash", "ends in one\\", "two\nlines", "\\n", "100 %, %s", "a{b}=c,d", "grüße"),
    *("\0", "\r", "\t", "\x7f", "\u2028", "\ufeff", "\N{GRINNING FACE}", "x" * 900, "#", "# EOF", " "),
)


def random_metrics(seed: int) -> Both:
    """Some of each kind, with odd values."""
    chance, both = random.Random(seed), Both()

    def values(of: Any, labels: int) -> dict[tuple[str, ...], Any]:
        if not labels:
            return {(): of()}
        return {tuple(chance.choice(HOSTILE) for _ in range(labels)): of() for _ in range(chance.randrange(6))}

    def amount() -> float:
        return chance.choice([0, 1, 0.1, 5e-324, 1e16, 123456.75, 10**7, 2**53, chance.expovariate(0.01), 1e300])

    def any_number() -> float:
        return chance.choice([amount(), -amount(), float("nan"), float("inf"), -float("inf")])

    for number in range(6):
        labels = tuple(chance.sample(["zone", "a", "le_", "method", "B", "_x"], chance.randrange(4)))
        both.counter(f"counter{number}", values(amount, len(labels)), labels, unit=chance.choice(["", "bytes"]))
        both.gauge(f"gauge{number}", values(any_number, len(labels)), labels)
        both.summary(f"summary{number}", values(lambda: [amount() for _ in range(3)], len(labels)), labels)
        both.histogram(f"histogram{number}", values(lambda: [amount() for _ in range(9)], len(labels)), labels)
        both.info(f"info{number}", values(lambda: {"b": chance.choice(HOSTILE), "Z": "1"}, len(labels)), labels)
        both.enum(f"enum{number}", values(lambda: chance.randrange(3), len(labels)), ("on", 'of"f', "so\\so"), labels)
    return both
