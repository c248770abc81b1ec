"""What is known of a daemon from its answers and messages. Pure: each of them makes a new model of the old."""

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import datetime

from hvd.cli.answers import Json, objects, texts
from hvd.cli.top.own import Own
from hvd.metrics.columns import DETAILS
from hvd.texts import number, plain

WINDOW = 900.0  # s of history that a daemon keeps, and so do we
_JOBS_MAX = 100  # that are kept; a daemon lists 20, and sends one for each change


@dataclasses.dataclass(frozen=True)
class Model:
    """Lists hold objects only; their fields are as the daemon sent them. `received` is monotonic, in s.

    `app` and `worker_class` say what is served, and how; `columns` are those of the history, `points` its rows, by
    their names. `trouble` is why there is no WebSocket, and `unreachable` why nothing answers at all; "" while they
    work.
    """

    raw: Json = dataclasses.field(default_factory=dict)
    workers: tuple[Json, ...] = ()
    routes: tuple[Json, ...] = ()
    jobs: tuple[Json, ...] = ()
    post_mortems: tuple[Json, ...] = ()
    reasons: tuple[str, ...] = ()
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
        requests = self.raw.get("requests")
        return requests.get("in_flight") if isinstance(requests, Mapping) else None  # nosec B113

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
        try:
            time = datetime.fromisoformat(str(self.raw.get("timestamp"))).timestamp()
        except ValueError:
            return self
        point = {**values, "in_flight": self.in_flight, "time": time}
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

    def with_pins(self, answer: Json) -> "Model":
        """After an answer of /api/v1/pins."""
        return dataclasses.replace(self, own=self.own.with_pins(answer))

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
            return dataclasses.replace(self, jobs=_with_job(self.jobs, data))
        return self

    def _with_raw(self, raw: Json, now: float) -> "Model":
        jobs = _newest(objects(raw.get("recent_jobs")), self.jobs)
        model = dataclasses.replace(self, raw=raw, jobs=jobs, received=now)
        if "reasons" in raw:
            return model.with_health(raw)
        return model.with_health({}) if raw.get("system_health") == "healthy" else model  # of an older daemon

    def _with_detail(self, data: Json) -> "Model":
        return dataclasses.replace(
            self,
            workers=objects(data.get("workers")),
            routes=objects(data.get("routes")),
            restarts=number(data.get("restarts")),
            points=_with_point(self.points, data.get("point")),
            own=self.own.with_detail(data),
        )


def _with_rates(rows: Iterable[Json], known: Iterable[Json], key: str) -> tuple[Json, ...]:
    rates = {str(row.get(key)): row.get("requests_per_second") for row in known}
    return tuple({"requests_per_second": rates.get(str(row.get(key))), **row} for row in rows)


def _with_point(points: tuple[Json, ...], point: object) -> tuple[Json, ...]:
    time = number(point.get("time")) if isinstance(point, Mapping) else None
    if not isinstance(point, Mapping) or time is None:
        return points
    kept = (known for known in points if time - WINDOW <= known["time"] < time)
    return (*kept, point)


def _revision(job: Json) -> tuple[float, float]:
    """Of two states of one job the greater is the newer."""
    return number(job.get("revision")) or 0, number(job.get("progress")) or 0


def _newest(jobs: Iterable[Json], known: Iterable[Json]) -> tuple[Json, ...]:
    """These jobs, in the newest state that is known of each."""
    states = {str(job.get("id")): job for job in known}
    return tuple(max(states.get(str(job.get("id")), job), job, key=_revision) for job in jobs)


def _with_job(jobs: tuple[Json, ...], job: Json) -> tuple[Json, ...]:
    for place, known in enumerate(jobs):
        if known.get("id") == job.get("id"):
            return (*jobs[:place], max(known, job, key=_revision), *jobs[place + 1 :])
    return (job, *jobs)[:_JOBS_MAX]
