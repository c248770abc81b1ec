"""What the tables of the presets are made of: series of the block, under other labels, added up. Pure.

Buckets of theirs that end between two of the block's count up to the next bound above: at most 10.4 % above theirs.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import NamedTuple

from hvd.core import amounts
from hvd.core.catalogue import Family, Series
from hvd.core.durations import BOUNDS, BUCKETS
from hvd.core.hot import cumulate
from hvd.metrics.sources import Distribution, Figures, Samples, Source
from hvd.metrics.table import EXCEPTIONS, HTTP, SIZES, VIEWS, Kind, Metric


class Key(NamedTuple):
    """The labels of a series; "" for those that it lacks. `view` is the app's own name of the route."""

    method: str = ""
    route: str = ""
    status: str = ""
    type: str = ""
    view: str = ""


Label = Callable[[Key], str]
"""Gives the value of a label."""

Labels = Mapping[str, Label]
Filter = Callable[[Key], bool]

METHOD: Label = attrgetter("method")
ROUTE: Label = attrgetter("route")
STATUS: Label = attrgetter("status")
TYPE: Label = attrgetter("type")

DEFAULT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Those of prometheus_client."""

NO_ROUTES = ("(unmatched)", "(other)")
"""Routes of what no template of the app has matched."""


def status_class(key: Key) -> str:
    """2xx, 3xx and so on."""
    return f"{key.status[:1]}xx"


def view(key: Key) -> str:
    """The app's own name of the route."""
    return key.view or "<unnamed view>"


def always(text: str) -> Label:
    """A label that is the same everywhere."""
    return lambda key: text


def is_matched(key: Key) -> bool:
    """A template of the app has matched it."""
    return key.route not in NO_ROUTES


def everything(key: Key) -> bool:
    """No series is left out."""
    return True


def responses(name: str, help: str, labels: Labels, keep: Filter = everything) -> Metric:
    """A counter of responses."""
    return _metric("counter", name, help, labels, partial(_counts, HTTP, labels, keep))


def exceptions(name: str, help: str, labels: Labels) -> Metric:
    """A counter of exceptions."""
    return _metric("counter", name, help, labels, partial(_counts, EXCEPTIONS, labels, everything))


def durations(
    name: str, help: str, labels: Labels, bounds: Sequence[float] = DEFAULT_BUCKETS, keep: Filter = everything
) -> Metric:
    """A histogram of the durations of responses, by bounds in s."""
    return _metric("histogram", name, help, labels, partial(_durations, labels, bounds, keep))


def sizes(name: str, help: str, index: int, labels: Labels, bounds: Sequence[float] = ()) -> Metric:
    """A histogram, or without bounds a summary, of the sizes of requests (0) or of responses (1): one for each
    response, and 0 where the size isn't known.
    """
    return _metric("histogram" if bounds else "summary", name, help, labels, partial(_sizes, index, labels, bounds))


def total(name: str, help: str, of: Callable[[Figures], float]) -> Metric:
    """A counter without labels."""
    return Metric(name, "counter", help, lambda figures: [((), of(figures))])


def in_progress(name: str, help: str, labels: Labels) -> Metric:
    """A gauge of requests in progress; their methods are the only thing that is known of them."""
    return _metric("gauge", name, help, labels, partial(_in_progress, labels))


def _metric(kind: Kind, name: str, help: str, labels: Labels, source: Source) -> Metric:
    return Metric(name, kind, help, source, tuple(labels))


Groups = dict[tuple[str, ...], list[Series]]


def _groups(figures: Figures, family: Family, labels: Labels, keep: Filter) -> Groups:
    """The family's series that have counted, by the values of these labels."""
    views = {series.labels[0]: series.labels[1] for series in figures.series.get(VIEWS.key, ())}
    groups: Groups = {}
    for series in figures.series.get(family.key, ()):
        known = dict(zip(family.labels, series.labels, strict=True))
        key = Key(**known, view=views.get(known["route"], ""))
        if figures.totals.cells[series.offset] and keep(key):
            groups.setdefault(tuple(label(key) for label in labels.values()), []).append(series)
    return groups


def _counts(family: Family, labels: Labels, keep: Filter, figures: Figures) -> Iterator[tuple[tuple[str, ...], int]]:
    cells = figures.totals.cells
    for values, series in _groups(figures, family, labels, keep).items():
        yield values, sum(cells[one.offset] for one in series)


def _durations(labels: Labels, bounds: Sequence[float], keep: Filter, figures: Figures) -> Samples:
    ends = (*(bisect_left(BOUNDS, round(bound * 1e9)) + 1 for bound in bounds), BUCKETS)
    cells = figures.totals.cells
    for values, series in _groups(figures, HTTP, labels, keep).items():
        sums = _added(cumulate(cells, one.offset + 2, ends) for one in series)
        yield values, _distribution(bounds, sums, sum(cells[one.offset + 1] for one in series) / 1e9)


def _sizes(index: int, labels: Labels, bounds: Sequence[float], figures: Figures) -> Samples:
    start = 1 + index * amounts.AMOUNT_CELLS
    ends = (*(amounts.bucket_of(round(bound)) + 1 for bound in bounds), amounts.BUCKETS)
    cells = figures.totals.cells
    known = _groups(figures, SIZES, labels, everything)
    for values, number in _counts(HTTP, labels, everything, figures):
        series = known.get(values, [])
        sums = _added(cumulate(cells, one.offset + start + 1, ends) for one in series) or [0] * len(ends)
        unknown = number - sums[-1]
        sums = [unknown if bound == 0 else unknown + sum_ for bound, sum_ in zip((*bounds, 1), sums, strict=True)]
        yield values, _distribution(bounds, sums, float(sum(cells[one.offset + start] for one in series)))


def _added(rows: Iterable[Sequence[int]]) -> list[int]:
    return [sum(column) for column in zip(*rows, strict=True)]


def _distribution(bounds: Sequence[float], cumulative: Sequence[int], total: float) -> Distribution:
    counts = [above - below for below, above in zip((0, *cumulative), cumulative, strict=False)]
    return Distribution([_text(bound) for bound in bounds], counts, total)


def _text(bound: float) -> str:
    """A bound as prometheus_client writes it: as Go does, with an exponent from 1e6 on."""
    text = repr(float(bound))
    dot = text.find(".")
    if dot <= 6:
        return text
    return f"{f'{text[0]}.{text[1:dot]}{text[dot + 1 :]}'.rstrip('0.')}e+0{dot - 1}"


def _in_progress(labels: Labels, figures: Figures) -> Samples:
    open_ = figures.service.open_by_method
    known = (series for series in figures.series.get(HTTP.key, ()) if not series.is_overflow)
    methods = {series.labels[0] for series in known} | open_.keys()
    groups: dict[tuple[str, ...], int] = {}
    for method in sorted(methods):
        values = tuple(label(Key(method)) for label in labels.values())
        groups[values] = groups.get(values, 0) + open_.get(method, 0)
    return groups.items()
