"""What is known of a daemon from its answers and messages. Pure: each of them makes a new model of the old."""

import dataclasses
from collections.abc import Iterable, Mapping
from itertools import chain

from hvd.cli.answers import Json, instant, mapping, objects, texts
from hvd.cli.top.own import Own
from hvd.metrics.columns import DETAILS
from hvd.texts import number, plain

WINDOW = 900.0  # s of history that a daemon keeps, and so do we
_EVENTS_MAX = 200  # that are kept; the daemon keeps about as many
_JOBS_MAX = 10_000  # that are kept


@dataclasses.dataclass(frozen=True)
class Model:
    """Lists hold objects only; their fields are as the daemon sent them. `received` is monotonic, in s.

    `jobs` are the newest, and those that were asked for: of `jobs_total`, None where that isn't known; `has_more_jobs`
    where there are others, `jobs_refusal` is why there was no answer. `changes` are from the minute before to the last
    one, `skew` is of workers that differ from the others. `events` are in their order, and `newest_event` is the
    sequence of the last one that the daemon has; `ends` counts processes that ended, by how. `app` and `worker_class`
    say what is served, and how; `columns` are those of the history, `points` its rows, by their names. `trouble` is
    why there is no WebSocket, and `unreachable` why nothing answers at all; "" while they work.
    """

    raw: Json = dataclasses.field(default_factory=dict)
    workers: tuple[Json, ...] = ()
    routes: tuple[Json, ...] = ()
    jobs: tuple[Json, ...] = ()
    jobs_total: float | None = None
    has_more_jobs: bool = False
    jobs_refusal: str = ""
    post_mortems: tuple[Json, ...] = ()
    reasons: tuple[str, ...] = ()
    changes: tuple[Json, ...] = ()
    skew: tuple[Json, ...] = ()
    events: tuple[Json, ...] = ()
    newest_event: float = 0
    ends: Json = dataclasses.field(default_factory=dict)
    restarts: float | None = None
    version: str = ""
    app: str = ""
    worker_class: str = ""
    columns: tuple[Json, ...] = DETAILS
    points: tuple[Json, ...] = ()
    interval: float = 2.0
    received: float = 0.0
    trouble: str = ""
    retry_at: float = 0.0
    unreachable: str = ""
    own: Own = dataclasses.field(default_factory=Own)

    @property
    def in_flight(self) -> object:
        """Requests in progress, as the daemon sent it."""
        return mapping(self.raw.get("requests")).get("in_flight")

    @property
    def time(self) -> float:
        """The daemon's clock when it sent the last numbers, as Unix time in s; 0.0 where that isn't known."""
        moment = instant(self.raw.get("timestamp"))
        return moment.timestamp() if moment else 0.0

    def without_connection(self, trouble: str, retry_at: float) -> "Model":
        """The WebSocket is lost, for the reason `trouble`; the next attempt is at the monotonic time `retry_at`."""
        return dataclasses.replace(self, trouble=trouble, retry_at=retry_at)

    def with_connection(self) -> "Model":
        """Messages come."""
        return dataclasses.replace(self, trouble="", unreachable="") if self.trouble or self.unreachable else self

    def without_answer(self, reason: str, asked: float) -> "Model":
        """Nothing answered a request of the monotonic time `asked`; no news where something was heard since."""
        return self if self.received > asked else dataclasses.replace(self, unreachable=reason)

    def with_snapshot(self, answer: Json, now: float) -> "Model":
        """After an answer of /api/v1/snapshot. It has no rates of workers and routes: they stay as they were."""
        beside = ("workers", "processes", "routes", "post_mortems")
        known = self._with_raw({name: value for name, value in answer.items() if name not in beside}, now)
        return dataclasses.replace(
            known,
            workers=_with_rates(objects(answer.get("workers")), self.workers, "pid"),
            routes=_with_rates(objects(answer.get("routes")), self.routes, "route"),
            unreachable="",
        ).with_post_mortems(answer)

    def with_own_point(self) -> "Model":
        """With a point of the history made of the last numbers, where no message brings one."""
        values = {name: self.raw.get(name) for name in (str(column.get("name")) for column in self.columns)}
        if not self.time:
            return self
        point = {**values, "in_flight": self.in_flight, "time": self.time}
        return dataclasses.replace(self, points=_with_point(self.points, point))

    def with_post_mortems(self, answer: Json) -> "Model":
        """The same, but only the post-mortems change."""
        return dataclasses.replace(self, post_mortems=objects(answer.get("post_mortems")))

    def with_health(self, answer: Json) -> "Model":
        """After an answer of /health, or the data of a message `status`: the reasons why it isn't healthy."""
        return dataclasses.replace(self, reasons=tuple(map(plain, texts(answer.get("reasons")))))

    def with_history(self, answer: Json) -> "Model":
        """After an answer of /api/v1/history, whose points replace the old ones."""
        names, rows = answer.get("columns"), answer.get("points")
        if not isinstance(names, list) or not isinstance(rows, list):
            return self
        points = [dict(zip(map(str, names), row, strict=False)) for row in rows if isinstance(row, list)]
        interval = number(answer.get("interval_seconds")) or self.interval
        known = tuple(point for point in points if number(point.get("time")))
        columns = objects(answer.get("column_details")) or self.columns
        return dataclasses.replace(self, points=known, interval=interval, columns=columns)

    def with_jobs(self, answer: Json) -> "Model":
        """After an answer of /jobs. What it has not is kept no longer, unless messages have it."""
        jobs = (*objects(self.raw.get("recent_jobs")), *objects(answer.get("jobs")))
        names = {job.get("id") for job in jobs}
        jobs = _joined_jobs((job for job in self.jobs if job.get("id") in names), jobs)
        total, more = number(answer.get("total")), bool(answer.get("next"))
        return dataclasses.replace(self, jobs=jobs, jobs_total=total, has_more_jobs=more, jobs_refusal="")

    def without_jobs(self, reason: str) -> "Model":
        """The jobs were asked for in vain."""
        return dataclasses.replace(self, jobs_total=None, has_more_jobs=False, jobs_refusal=reason)

    def with_pins(self, answer: Json) -> "Model":
        """After an answer of /api/v1/pins."""
        return dataclasses.replace(self, own=self.own.with_pins(answer))

    def with_events(self, answer: Json) -> "Model":
        """After an answer of /api/v1/events."""
        newest = number(answer.get("newest")) or 0
        known = self._with_newest(newest, objects(answer.get("events")))
        return dataclasses.replace(known, ends=mapping(answer.get("ends")) or known.ends)

    def _with_newest(self, newest: float, events: Iterable[Json]) -> "Model":
        """With these events too; where the daemon counts from the beginning again, with these only."""
        known = self.events if newest >= self.last_event else ()
        return dataclasses.replace(self, events=_joined(known, events), newest_event=newest)

    @property
    def last_event(self) -> float:
        """The sequence of the last event that is known; 0 where none is."""
        return number(self.events[-1].get("sequence")) or 0 if self.events else 0

    @property
    def lacking_events(self) -> float | None:
        """The sequence after which events are to be asked for; None where none is missing."""
        return None if self.newest_event <= self.last_event else self.last_event

    def watching(self, key: str) -> "Model":
        """From now on with the points of this own metric too."""
        return self if key in self.own.watched else dataclasses.replace(self, own=self.own.watching(key))

    def with_refusal(self, reason: str) -> "Model":
        """The last change of a pin was refused, or wasn't: ""."""
        return dataclasses.replace(self, own=dataclasses.replace(self.own, refusal=reason))

    def with_message(self, message: Json, now: float) -> "Model":
        """After a message of /ws. One of an unknown type, or without data, changes nothing."""
        data = message.get("data")
        if not isinstance(data, Mapping):
            return self
        kind = message.get("type")
        if kind == "metrics":
            raw = data.get("raw")
            return self._with_raw(raw, now) if isinstance(raw, Mapping) else self
        if kind == "detail":
            return self._with_detail(data)
        if kind == "status":
            version = plain(data.get("version"), most=20)
            columns = objects(data.get("columns")) or self.columns
            interval = max(self.interval, number(data.get("interval_seconds")) or 0.0)  # HTTP may not have told it
            app, worker_class = (plain(data[key], most=40) if data.get(key) else "" for key in ("app", "worker_class"))
            known = self.with_health(data)
            known = dataclasses.replace(known, version=version, app=app, worker_class=worker_class)
            return dataclasses.replace(known, columns=columns, interval=interval)
        if kind == "job_update":
            return dataclasses.replace(self, jobs=_joined_jobs(self.jobs, (data,)))
        return self

    def _with_raw(self, raw: Json, now: float) -> "Model":
        jobs = _joined_jobs(self.jobs, objects(raw.get("recent_jobs")))
        ends = mapping(raw.get("ends")) or self.ends
        model = dataclasses.replace(self, raw=raw, jobs=jobs, received=now, ends=ends)
        if "reasons" in raw:
            return model.with_health(raw)
        return model.with_health({}) if raw.get("system_health") == "healthy" else model  # of an older daemon

    def _with_detail(self, data: Json) -> "Model":
        skew = objects(data.get("skew"))
        return dataclasses.replace(
            self._with_newest(number(data.get("newest_event")) or 0, objects(data.get("events"))),
            changes=objects(data.get("changes")),
            skew=skew,
            workers=_with_differing(objects(data.get("workers")), skew),
            routes=objects(data.get("routes")),
            restarts=number(data.get("restarts")),
            points=_with_point(self.points, data.get("point")),
            own=self.own.with_detail(data),
        )


_RATES = ("requests_per_second", "last_minute", "differs")
"""What only messages say of workers and routes."""


def _with_rates(rows: Iterable[Json], known: Iterable[Json], key: str) -> tuple[Json, ...]:
    rates = {str(row.get(key)): {name: row[name] for name in _RATES if name in row} for row in known}
    return tuple({**rates.get(str(row.get(key)), {}), **row} for row in rows)


def _with_differing(workers: Iterable[Json], skew: Iterable[Json]) -> tuple[Json, ...]:
    """The workers, each with whether it differs from the others."""
    differing = {one.get("pid") for one in skew}
    return tuple({**worker, "differs": worker.get("pid") in differing} for worker in workers)


def _joined(known: Iterable[Json], new: Iterable[Json]) -> tuple[Json, ...]:
    """The events in their order, each once; the last ones of many."""
    by_sequence = {number(event.get("sequence")) or 0: event for event in (*known, *new)}
    return tuple(by_sequence[sequence] for sequence in sorted(by_sequence))[-_EVENTS_MAX:]


def _with_point(points: tuple[Json, ...], point: object) -> tuple[Json, ...]:
    new = mapping(point)
    time = number(new.get("time"))
    if time is None:
        return points
    kept = (known for known in points if time - WINDOW <= known["time"] < time)
    return (*kept, new)


def _revision(job: Json) -> tuple[float, float]:
    """Of two states of one job the greater is the newer."""
    return number(job.get("revision")) or 0, number(job.get("progress")) or 0


def _joined_jobs(*lots: Iterable[Json]) -> tuple[Json, ...]:
    """Each job once, in its newest state; of two alike the later one, which has its time. The last of very many."""
    newest: dict[str, Json] = {}
    for job in chain(*lots):
        name = str(job.get("id"))
        known = newest.get(name)
        if known is None or _revision(job) >= _revision(known):
            newest[name] = {**known, **job} if known else job
    return tuple(newest.values())[-_JOBS_MAX:]
