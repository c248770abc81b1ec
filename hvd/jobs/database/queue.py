"""The queue as a runner sees it: jobs are claimed, noted, finished. What clients do is in store.py."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, case, func, select, update

from hvd.jobs.database import clock, statements
from hvd.jobs.database import finish_and_claim as server
from hvd.jobs.database.connection import Database
from hvd.jobs.database.ends import End, end_attempt, put_back
from hvd.jobs.database.leases import Leases, Runner
from hvd.jobs.database.schema import job_of, jobs, totals
from hvd.jobs.database.totals import EndCounts
from hvd.jobs.database.upkeep import QueueUpkeep
from hvd.jobs.job import Job, Json
from hvd.jobs.states import OPEN, PENDING, RUNNING, bucket_of
from hvd.metrics.companion_pages import EndedJobs, OpenJobs, QueueFigures

RECENT = 20  # jobs that `recent_jobs` shows


class Turnover(NamedTuple):
    """Jobs as they are at their ends, ids of running ones to cancel, jobs that are claimed."""

    done: list[Job]
    to_cancel: list[str]
    claimed: list[Job]


class Queue:
    """One runner's access to the queue: its own jobs here, the rest in `leases` and `upkeep`.

    Every method raises StoreUnavailable, StoreNewer. One thread at a time.
    """

    def __init__(self, database: Database, runner: Runner, daemon: str, lease: float) -> None:
        """`daemon` is the name that totals are kept under, `lease` the length of the runner's in s."""
        self.database = database
        self.runner = runner
        self.leases = Leases(database, runner, daemon, lease)
        self.upkeep = QueueUpkeep(database, self.leases, daemon)
        self._daemon = daemon

    def claim(self, room: Mapping[str, int], most: int) -> list[Job]:
        """Take up to `most` pending jobs, oldest first; `room` says how many of each kind. They run from now on."""
        return self.finish_and_claim((), room, most).claimed

    def finish(self, ends: Sequence[End]) -> list[Job]:
        """End attempts of ours -> the jobs as they are then: ended, or pending again; not those that were lost."""
        return self.finish_and_claim(ends, {}, 0).done

    def finish_and_claim(self, ends: Sequence[End], room: Mapping[str, int], most: int) -> Turnover:
        """End attempts, learn what is to be cancelled, and claim, in one transaction, since each one costs time."""
        if not self.database.is_local and not any(end.may_retry or end.seconds is None for end in ends):
            free = {kind: count for kind, count in room.items() if count > 0} if most else {}
            if not free or min(free.values()) >= most:  # whatever is found fits
                return self._finish_and_claim_at_once(ends, list(free), most)
        by_id = {end.job_id: end for end in ends}
        done, to_cancel, claimed = [], [], list[Job]()
        with self.database.writing() as connection:
            has_lease, at = self._look_at_lease(connection)
            counts = EndCounts(self._daemon)
            for row in self._ours(connection, by_id):
                if row.id not in by_id:
                    to_cancel.append(row.id)
                elif row.attempt == by_id[row.id].attempt:
                    done.append(end_attempt(connection, row, by_id[row.id], at, counts))
            if has_lease and most:  # without one, nothing would take over what we claimed if we die
                claimed = self._claim(connection, at, room, most)
            counts.store(connection, at)
        return Turnover(done, to_cancel, sorted(claimed, key=lambda job: job.id))

    def _finish_and_claim_at_once(self, ends: Sequence[End], kinds: Sequence[str], most: int) -> Turnover:
        rows: dict[str, list[Row[Any]]] = {server.ENDED: [], server.UNWANTED: [], server.STARTED: []}
        with self.database.writing() as connection:
            for row in server.finish_and_claim(
                connection,
                me=self.runner.id,
                here=self.runner.host,
                daemon=self._daemon,
                ends=[end._asdict() | {"id": end.job_id, "bucket": bucket_of(end.seconds or 0.0)} for end in ends],
                kinds=kinds,
                wanted=most,
            ):
                rows[row.what].append(row)
        done, unwanted, claimed = ([job_of(row, 0) for row in group] for group in rows.values())
        ended = {end.job_id for end in ends}
        to_cancel = [job.id for job in unwanted if job.id not in ended]
        return Turnover(done, to_cancel, sorted(claimed, key=lambda job: job.id))

    def _look_at_lease(self, connection: Connection) -> tuple[bool, int]:
        """Whether we hold one, which stays so until the transaction's end; and the time."""
        is_local = self.database.is_local
        lease = connection.scalar(statements.LOCAL_LEASE if is_local else statements.LEASE, {"me": self.runner.id})
        at = clock.now(connection) if lease is None or is_local else int(lease)
        return lease is not None, at

    def _claim(self, connection: Connection, at: int, room: Mapping[str, int], most: int) -> list[Job]:
        claimed: list[Job] = []
        free = {kind: count for kind, count in room.items() if count > 0}
        while free and len(claimed) < most:
            wanted = most - len(claimed)
            values = {"kinds": list(free), "at": at, "wanted": wanted}
            if min(free.values()) >= wanted:  # whatever is found fits
                return claimed + self._start(connection, statements.CLAIM, values)
            rows = connection.execute(statements.DUE, values).all()
            if fitting := _fitting(rows, free):
                claimed += self._start(connection, statements.START, {"ids": fitting, "at": at})
            if not fitting or len(rows) < wanted:
                break
        return claimed

    def _start(self, connection: Connection, statement: Any, values: Json) -> list[Job]:
        rows = connection.execute(statement, {**values, "me": self.runner.id, "here": self.runner.host}).all()
        return [job_of(row, clock.shift(connection)) for row in rows]

    def next_due(self, kinds: Sequence[str]) -> float | None:
        """Seconds until the next pending job of these kinds may start, 0.0 if one may now; None if none is pending."""
        with self.database.reading() as connection:
            at = clock.now(connection)
            due = case((statements.is_due(at), at), else_=jobs.c.not_before)
            query = select(func.min(due)).where(jobs.c.status == PENDING, jobs.c.kind.in_(kinds))
            earliest = connection.scalar(query)
            return None if earliest is None else max(0.0, (earliest - at) / 1e6)

    def progress(self, percents: Mapping[str, float]) -> list[Job]:
        """Note how far our running jobs are, in percent -> the jobs as they are then."""
        noted: list[Job] = []
        with self.database.writing() as connection:
            at = clock.now(connection)
            for job_id in sorted(percents):
                changed = connection.execute(
                    update(jobs)
                    .where(jobs.c.id == job_id, jobs.c.runner == self.runner.id, jobs.c.status == RUNNING)
                    .values(progress=percents[job_id], updated=at, revision=jobs.c.revision + 1)
                    .returning(*jobs.c)
                )
                noted += [job_of(row, clock.shift(connection)) for row in changed]
        return noted

    def _ours(self, connection: Connection, ids: Mapping[str, object]) -> Sequence[Row[Any]]:
        """Our running jobs that have these ids, or are to be cancelled."""
        return connection.execute(statements.OURS, {"ids": list(ids), "me": self.runner.id}).all()

    def put_back(self, ids: Sequence[str], pause: float) -> list[Job]:
        """Let jobs that we claimed and could not start wait `pause` s for another; it counts as no attempt."""
        with self.database.writing() as connection:
            at, counts = clock.now(connection), EndCounts(self._daemon)
            rows = [row for row in self._ours(connection, dict.fromkeys(ids)) if row.id in ids]
            back = [put_back(connection, row, at, pause, counts) for row in rows]
            counts.store(connection, at)
        return back

    def figures(self) -> QueueFigures:
        """How many jobs there are, what has ended, of all and of this daemon, and what has changed last."""
        with self.database.reading() as connection:
            open_counts = select(jobs.c.kind, jobs.c.status, func.count()).where(jobs.c.status.in_(OPEN))
            open_jobs = connection.execute(open_counts.group_by(jobs.c.kind, jobs.c.status)).all()
            own = totals.c.daemon == self._daemon
            series = (totals.c.kind, totals.c.status, totals.c.bucket)
            sums = (func.sum(totals.c.count), func.sum(totals.c.seconds))
            ours = (func.sum(case((own, totals.c.count), else_=0)), func.sum(case((own, totals.c.seconds), else_=0.0)))
            ends = connection.execute(select(*series, *sums, *ours).group_by(*series).order_by(*series)).all()
            recent = connection.execute(select(jobs).order_by(jobs.c.updated.desc()).limit(RECENT)).all()
            oldest = connection.scalar(
                select(jobs.c.created).where(jobs.c.status == PENDING).order_by(jobs.c.id).limit(1)
            )
            shift = clock.shift(connection)
            at, read_ns = (clock.now(connection) + shift) / 1e6, time.monotonic_ns()
        return {
            "open": [OpenJobs(*row) for row in open_jobs],
            "ends": [EndedJobs(*row[:3], int(row[3]), row[4]) for row in ends],
            "own": [EndedJobs(*row[:3], int(row[5]), row[6]) for row in ends if row[5]],
            "recent": [job_of(row, shift).as_recent(at) for row in recent],
            "read_ns": read_ns,
            "oldest_pending_seconds": None if oldest is None else max(0.0, at - (oldest + shift) / 1e6),
        }


def _fitting(rows: Sequence[Any], free: dict[str, int]) -> list[str]:
    """The ids for which there is room; `left` is what is left of it then."""
    ids = []
    for row in rows:
        if free.get(row.kind, 0) > 0:
            free[row.kind] -= 1
            ids.append(row.id)
    for kind in [kind for kind, count in free.items() if count <= 0]:
        del free[kind]
    return ids
