"""What is known of the app's own metrics, from messages and answers. Pure: each of them makes a new one of the old."""

import dataclasses
from collections.abc import Iterator, Mapping

from hvd.cli.answers import Json, mapping, objects
from hvd.read.recent import key_text

WINDOW = 900.0  # s of points that are kept, as the daemon does
_WATCHED = 50  # metrics at most whose points are kept beside those of what is pinned

Points = tuple[tuple[float, tuple[float | None, ...]], ...]
"""Unix time in s, and the figures."""


@dataclasses.dataclass(frozen=True)
class Own:
    """`metrics` as the daemon sent them; what is `pinned`, by key, with its figures of now; `points` of that and of
    what is `watched`, by key. `refusal` is why the last change of a pin was refused.
    """

    metrics: tuple[Json, ...] = ()
    pinned: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    points: Mapping[str, Points] = dataclasses.field(default_factory=dict)
    watched: tuple[str, ...] = ()
    refusal: str = ""

    def with_detail(self, data: Json) -> "Own":
        """After a message `detail`. Where it has no point of the history, it has none of these either."""
        known = dataclasses.replace(self, metrics=objects(data.get("own")), pinned=_figures(data.get("pinned")))
        time = mapping(data.get("point")).get("time")
        if not isinstance(time, int | float):
            return known
        recent = {row["key"]: row["recent"] for row in known.rows() if row["key"] in self.watched} | {**known.pinned}
        kept = {key: self.points.get(key, ()) for key in (*known.pinned, *self.watched)}
        new = {key: (time, tuple(map(_number, recent.get(key, {}).values()))) for key in kept}
        points = {
            key: (*(one for one in points if time - WINDOW <= one[0] < time), new[key]) for key, points in kept.items()
        }
        return dataclasses.replace(known, points=points)

    def with_pins(self, answer: Json) -> "Own":
        """After an answer of /api/v1/pins: what the daemon has of what is pinned."""
        pins = {str(pin.get("key")): _points(pin.get("points")) for pin in objects(answer.get("pins"))}
        points = {key: one for key, one in self.points.items() if key in self.watched}
        pinned = {key: self.pinned.get(key, {}) for key in pins}
        return dataclasses.replace(self, pinned=pinned, points={**points, **pins})

    def watching(self, key: str) -> "Own":
        """From now on with the points of this one too."""
        if not key or key in self.watched:
            return self
        return dataclasses.replace(self, watched=(*self.watched, key)[-_WATCHED:])

    def rows(self) -> Iterator[Json]:
        """A row of each series, and one of all of a metric's together where there are several."""
        for metric in self.metrics:
            yield from self._rows(metric)

    def _rows(self, metric: Json) -> Iterator[Json]:
        name, kind = str(metric.get("name")), str(metric.get("kind"))
        implied = next((unit for unit in ("seconds", "bytes") if name.endswith(f"_{unit}")), "")
        shared = {"kind": kind, "unit": metric.get("unit") or implied, "help": metric.get("help")}
        number, recent = metric.get("series_total"), mapping(metric.get("recent"))
        series = objects(metric.get("series"))
        values = [_value_of(one) for one in series]
        if isinstance(number, int) and number > 1 and recent:
            numbers = [value for value in map(_number, values) if value is not None]
            total = sum(numbers) if len(numbers) == number else None
            key = key_text(name, kind, {})
            yield {**shared, "key": key, "recent": recent, "value": total, "all": number, "pinned": key in self.pinned}
        for one, value in zip(series, values, strict=True):
            key = key_text(name, kind, {str(label): str(text) for label, text in mapping(one.get("labels")).items()})
            recent = mapping(one.get("recent"))
            yield {**shared, "key": key, "recent": recent, "value": value, "pinned": key in self.pinned}


def _value_of(series: Json) -> object:
    """Of an info what it says, as text."""
    if said := mapping(series.get("info")):
        return " ".join(f"{name}={value}" for name, value in said.items())
    return next((series[field] for field in ("value", "count", "state") if field in series), None)


def _figures(pinned: object) -> dict[str, Json]:
    return {str(key): mapping(figures) for key, figures in mapping(pinned).items()}


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _points(rows: object) -> Points:
    points = [row for row in rows if isinstance(row, list) and row] if isinstance(rows, list) else []
    return tuple((float(time), tuple(map(_number, values))) for time, *values in points if _number(time) is not None)
