"""The queue as a runner sees it: claimed, renewed, finished, recovered. What clients do is in store.py.

A runner holds a lease, and its running jobs with it. On one machine a runner is gone when its process is; of another
machine's, only the lease tells: it is over when it was seen unrenewed for its whole length, by the watcher's own
monotonic clock, and with a database that answered. So neither a clock that steps nor a database that was away makes a
living runner lose its jobs. Whoever finds a runner gone gives its jobs another attempt, or ends them.
"""

import os
import socket
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Row,
    and_,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from hvd.core.proc import is_alive, start_ticks
from hvd.jobs.database import clock, statements
from hvd.jobs.database import finish_and_claim as server
from hvd.jobs.database.clock import boot_id
from hvd.jobs.database.connection import Database
from hvd.jobs.database.end_counts import EndCounts
from hvd.jobs.database.schema import job_of, jobs, runners, submissions, totals
from hvd.jobs.ids import new_id
from hvd.jobs.job import Job, Json
from hvd.jobs.states import CANCELLED, ENDED, FAILED, NEVER_RAN, OPEN, PENDING, RUNNING, bucket_of, retry_pause

RECENT = 20  # jobs that `recent_jobs` shows
KEY_SECONDS = 86_400  # how long an idempotency key is known
GONE_DAYS = 30  # after which a daemon that ended no job and pruned nothing is taken for gone
STEP = 60.0  # s that the queue's clock may be off between two prunings
PRUNED_AT_ONCE = 1000  # rows, so that a long overdue cleaning doesn't hold up submissions


class End(NamedTuple):
    """How one attempt of a job ended; `may_retry` where the kind's retries apply to such an end."""

    job_id: str
    attempt: int
    status: str
    exit_code: int | None
    error: str
    output: str
    progress: float
    may_retry: bool
    seconds: float | None = None  # how long it ran, by a monotonic clock, where somebody knows


class Exchange(NamedTuple):
    """What came of one: jobs as they are at their ends, ids of running ones to cancel, jobs that are claimed."""

    done: list[Job]
    to_cancel: list[str]
    claimed: list[Job]


@dataclass(frozen=True)
class Runner:
    """Who runs jobs: a process of a machine."""

    id: str
    host: str
    machine: str
    pid: int
    pid_start: int

    @classmethod
    def here(cls) -> "Runner":
        """This process, as a new runner."""
        return cls(new_id(), socket.gethostname(), machine(), os.getpid(), start_ticks(os.getpid()))


def machine() -> str:
    """Where a pid means what it means here: this boot of this machine, and this pid namespace (namespaces(7)).

    Where /proc hides the boot (subset=pid), no other runner is known to be here, and leases alone count.
    """
    return f"{boot_id() or new_id()}/{os.readlink('/proc/self/ns/pid')}"


class Queue:
    """One runner's access to the queue. Everything raises StoreUnavailable, StoreNewer. One thread at a time."""

    def __init__(self, database: Database, runner: Runner, daemon: str, lease: float) -> None:
        self.database = database
        self.runner = runner
        self.lease = lease  # s
        self.name_before = daemon  # under which an older hvd counted, until `renew` was called once
        self.has_rivals = False  # whether a runner of another machine was there when the lease was renewed last
        self._daemon = daemon
        self._leases: dict[str, tuple[int, float]] = {}  # of other machines' runners: until when, first seen so when
        self._clocks: tuple[float, float] | None = None  # the queue's and the monotonic one, s, at the last pruning

    def renew(self) -> bool:
        """Hold the lease from now on -> False if it was lost, or never had: what we ran isn't ours any more."""
        with self.database.writing() as connection:
            until = clock.now(connection) + round(self.lease * 1e6)
            held = update(runners).where(runners.c.id == self.runner.id).values(lease_until=until, lease=self.lease)
            is_held = bool(connection.execute(held).rowcount)
            if not is_held:
                me = {name: getattr(self.runner, name) for name in ("id", "host", "machine", "pid", "pid_start")}
                connection.execute(insert(runners).values(**me, lease_until=until, lease=self.lease))
                self._take_name(connection)
            rival = select(runners.c.id).where(runners.c.machine != self.runner.machine).limit(1)
            self.has_rivals = connection.scalar(rival) is not None
            return is_held

    def _take_name(self, connection: Connection) -> None:
        if self.name_before != self._daemon:
            connection.execute(update(totals).where(totals.c.daemon == self.name_before).values(daemon=self._daemon))
            self.name_before = self._daemon

    def leave(self) -> None:
        """Give the lease up: at a clean stop, once nothing runs any more."""
        with self.database.writing() as connection:
            connection.execute(delete(runners).where(runners.c.id == self.runner.id))

    def claim(self, room: Mapping[str, int], most: int) -> list[Job]:
        """Take up to `most` pending jobs, oldest first; `room` says how many of each kind. They run from now on."""
        return self.exchange((), room, most).claimed

    def finish(self, ends: Sequence[End]) -> list[Job]:
        """End attempts of ours -> the jobs as they are then: ended, or pending again; not those that were lost."""
        return self.exchange(ends, {}, 0).done

    def exchange(self, ends: Sequence[End], room: Mapping[str, int], most: int) -> Exchange:
        """End attempts, hear what is to be cancelled, and claim: one transaction, since each has its price."""
        if not self.database.is_local and not any(end.may_retry or end.seconds is None for end in ends):
            left = {kind: count for kind, count in room.items() if count > 0} if most else {}
            if not left or min(left.values()) >= most:  # whatever is found fits
                return self._exchange_at_once(ends, list(left), most)
        by_id = {end.job_id: end for end in ends}
        done, to_cancel, claimed = [], [], list[Job]()
        with self.database.writing() as connection:
            has_lease, at = self._look_at_lease(connection)
            counts = EndCounts(self._daemon)
            for row in self._ours(connection, by_id):
                if row.id not in by_id:
                    to_cancel.append(row.id)
                elif row.attempt == by_id[row.id].attempt:
                    done.append(self._end(connection, row, by_id[row.id], at, counts))
            if has_lease and most:  # without one nobody would look after what we took
                claimed = self._claim(connection, at, room, most)
            counts.store(connection, at)
        return Exchange(done, to_cancel, sorted(claimed, key=lambda job: job.id))

    def _exchange_at_once(self, ends: Sequence[End], kinds: Sequence[str], most: int) -> Exchange:
        found: dict[str, list[Row[Any]]] = {server.ENDED: [], server.UNWANTED: [], server.STARTED: []}
        with self.database.writing() as connection:
            for row in server.exchange(
                connection,
                me=self.runner.id,
                here=self.runner.host,
                daemon=self._daemon,
                ends=[end._asdict() | {"id": end.job_id, "bucket": bucket_of(end.seconds or 0.0)} for end in ends],
                kinds=kinds,
                wanted=most,
            ):
                found[row.what].append(row)
        done, unwanted, claimed = ([job_of(row, 0) for row in rows] for rows in found.values())
        ended = {end.job_id for end in ends}
        to_cancel = [job.id for job in unwanted if job.id not in ended]
        return Exchange(done, to_cancel, sorted(claimed, key=lambda job: job.id))

    def _look_at_lease(self, connection: Connection) -> tuple[bool, int]:
        """Whether we hold one, which stays so until the transaction's end; and the time."""
        is_local = self.database.is_local
        lease = connection.scalar(statements.LOCAL_LEASE if is_local else statements.LEASE, {"me": self.runner.id})
        at = clock.now(connection) if lease is None or is_local else int(lease)
        return lease is not None, at

    def _claim(self, connection: Connection, at: int, room: Mapping[str, int], most: int) -> list[Job]:
        claimed: list[Job] = []
        left = {kind: count for kind, count in room.items() if count > 0}
        while left and len(claimed) < most:
            wanted = most - len(claimed)
            values = {"kinds": list(left), "at": at, "wanted": wanted}
            if min(left.values()) >= wanted:  # whatever is found fits
                return claimed + self._start(connection, statements.CLAIM, values)
            rows = connection.execute(statements.DUE, values).all()
            if fitting := _fitting(rows, left):
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
            found = connection.scalar(query)
            return None if found is None else max(0.0, (found - at) / 1e6)

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
        """Our running jobs that have these ids, or that somebody wants ended."""
        return connection.execute(statements.OURS, {"ids": list(ids), "me": self.runner.id}).all()

    def _end(self, connection: Connection, row: Row[Any], end: End, at: int, counts: EndCounts) -> Job:
        change: Json = {
            "exit_code": end.exit_code,
            "error": end.error,
            "output": end.output,
            "progress": end.progress,
            "updated": at,
            **{name: getattr(row, name) for name in ("not_before", "started", "ended")},
        }
        seconds = max(0, at - row.started) / 1e6 if end.seconds is None else end.seconds
        ended = row.started + round(seconds * 1e6)
        if end.may_retry and row.cancel_requested:
            change |= {"status": CANCELLED, "ended": ended}
        elif end.may_retry and row.attempt <= row.retries:
            pause = round(retry_pause(row.backoff, row.attempt) * 1e6)
            change |= {"status": PENDING, "not_before": at + pause, "started": None}
        else:
            change |= {"status": end.status, "ended": ended}
        if change["status"] in ENDED:
            counts.add(row.kind, change["status"], bucket_of(seconds), seconds)
        changed = connection.execute(
            statements.END, {f"new_{name}": value for name, value in change.items()} | {"job": row.id}
        )
        return job_of(changed.one(), clock.shift(connection))

    def gone(self) -> list[Runner]:
        """The runners that are gone: dead on this machine, or silent for a whole lease on another."""
        with self.database.reading() as connection:
            rows = connection.execute(select(runners).where(runners.c.id != self.runner.id)).all()
        known = {row.id for row in rows}
        self._leases = {name: seen for name, seen in self._leases.items() if name in known}
        return [Runner(row.id, row.host, row.machine, row.pid, row.pid_start) for row in rows if self._is_gone(row)]

    def _is_gone(self, row: Row[Any]) -> bool:
        if row.machine == self.runner.machine:
            return not is_alive(row.pid, row.pid_start)
        seen = time.monotonic()
        if self._leases.get(row.id, (None,))[0] != row.lease_until:
            self._leases[row.id] = row.lease_until, seen
        return seen - self._leases[row.id][1] > float(row.lease)

    def recover(self, runner: Runner, started: Container[tuple[str, int]] | None = None) -> list[Job]:
        """Give the jobs of a runner that is gone another attempt, where they have one left, or end them as failed.

        `started` has the ids and attempts that it had started, where that is known: what it had only claimed goes back,
        and has had no attempt. On this machine, what the runner had started must be ended before.
        """
        recovered = []
        with self.database.writing() as connection:
            at, counts = clock.now(connection), EndCounts(self._daemon)
            mine = select(runners).where(runners.c.id == runner.id).with_for_update()
            row = connection.execute(mine).one_or_none()
            if row is None or (runner.machine != self.runner.machine and not self._is_gone(row)):
                return []  # another was quicker, or it has come back
            lost = select(jobs).where(jobs.c.runner == runner.id, jobs.c.status == RUNNING)
            for job in connection.execute(lost.order_by(jobs.c.id).with_for_update()).all():
                if started is not None and (job.id, job.attempt) not in started:
                    recovered.append(self._put_back(connection, job, at, 0.0, counts))
                else:
                    end = _lost(job, f"its runner on {runner.host} (pid {runner.pid}) died")
                    recovered.append(self._end(connection, job, end, at, counts))
            counts.store(connection, at)
            connection.execute(delete(runners).where(runners.c.id == runner.id))
        return recovered

    def put_back(self, ids: Sequence[str], pause: float) -> list[Job]:
        """Let jobs that we claimed and could not start wait `pause` s for another; it counts as no attempt."""
        with self.database.writing() as connection:
            at, counts = clock.now(connection), EndCounts(self._daemon)
            rows = [row for row in self._ours(connection, dict.fromkeys(ids)) if row.id in ids]
            back = [self._put_back(connection, row, at, pause, counts) for row in rows]
            counts.store(connection, at)
        return back

    def _put_back(self, connection: Connection, row: Row[Any], at: int, pause: float, counts: EndCounts) -> Job:
        change: Json = {"attempt": row.attempt - 1, "runner": None, "started": None}
        change |= {"updated": at, "revision": row.revision + 1}
        if row.cancel_requested:
            change |= {"status": CANCELLED, "ended": at}
            counts.add(row.kind, CANCELLED, NEVER_RAN, 0.0)
        else:
            change |= {"status": PENDING, "not_before": at + round(pause * 1e6)}
        changed = connection.execute(update(jobs).where(jobs.c.id == row.id).values(change).returning(*jobs.c)).one()
        return job_of(changed, clock.shift(connection))

    def reclaim(self, running: Mapping[str, object]) -> list[Job]:
        """Look after jobs that nobody runs -> the jobs as they are then.

        Those that are noted as ours and not known here were claimed by a question whose answer never reached us: they
        never ran, and go back. Those of a runner that nobody knows get another attempt, or fail.
        """
        with self.database.writing() as connection:
            at, counts = clock.now(connection), EndCounts(self._daemon)
            lost_claim = and_(jobs.c.runner == self.runner.id, jobs.c.id.not_in(running))
            nobodys = jobs.c.runner.not_in(select(runners.c.id))
            query = select(jobs).where(jobs.c.status == RUNNING, or_(lost_claim, nobodys))
            found = []
            for row in connection.execute(query.order_by(jobs.c.id).with_for_update()).all():
                if row.runner == self.runner.id:
                    found.append(self._put_back(connection, row, at, 0.0, counts))
                else:
                    end = _lost(row, "its runner is gone, and nobody knows how")
                    found.append(self._end(connection, row, end, at, counts))
            counts.store(connection, at)
        return found

    def unknown(self, ids: Sequence[str]) -> list[str]:
        """Those of these ids that no job has."""
        known: set[str] = set()
        with self.database.reading() as connection:
            for start in range(0, len(ids), PRUNED_AT_ONCE):
                some = ids[start : start + PRUNED_AT_ONCE]
                known.update(connection.scalars(select(jobs.c.id).where(jobs.c.id.in_(some))))
        return [each for each in ids if each not in known]

    def prune(self, keep_days: float) -> list[str]:
        """Delete jobs that ended, and idempotency keys that were used, long ago -> the jobs' ids.

        Only where the queue's clock has kept step with the monotonic one since the last call: a clock that has stepped
        to next month makes all jobs old at once, and by the next call somebody may have set it right.
        """
        with self.database.writing() as connection:
            at = clock.now(connection)
            if not self._has_kept_step(at / 1e6):
                return []
            old = (
                select(jobs.c.id)
                .where(jobs.c.status.in_(ENDED), jobs.c.ended < at - round(keep_days * 86_400e6))
                .limit(PRUNED_AT_ONCE)
            )
            gone = delete(jobs).where(jobs.c.id.in_(old.scalar_subquery())).returning(jobs.c.id)
            deleted = list(connection.scalars(gone))
            connection.execute(delete(submissions).where(submissions.c.created < at - KEY_SECONDS * 1_000_000))
            self._fold(connection, at)
        return deleted

    def _fold(self, connection: Connection, at: int) -> None:
        """Add up, under no name, the totals of daemons that were not there for long: the queue's own don't change.

        Else each container without a state folder to keep its name in would leave rows for ever.
        """
        seen = or_(totals.c.daemon == self._daemon, totals.c.updated == 0)  # 0: from before this was noted
        connection.execute(update(totals).where(seen).values(updated=at))
        old = select(totals).where(totals.c.daemon != "", totals.c.updated < at - round(GONE_DAYS * 86_400e6))
        counts = EndCounts("")
        for row in connection.execute(old.limit(PRUNED_AT_ONCE).with_for_update(skip_locked=True)).all():
            counts.add(row.kind, row.status, row.bucket, row.seconds, row._mapping["count"])
            same = [column == getattr(row, column.name) for column in totals.primary_key]
            connection.execute(delete(totals).where(*same))
        counts.store(connection, at)

    def _has_kept_step(self, queue: float) -> bool:
        before, self._clocks = self._clocks, (queue, time.monotonic())
        return before is not None and abs(queue - before[0] - (self._clocks[1] - before[1])) < STEP

    def figures(self) -> Json:
        """What the daemon shows of the queue: counts by kind and status, this daemon's ends, the jobs changed last, and
        when (monotonic ns) that was so.
        """
        with self.database.reading() as connection:
            open_counts = select(jobs.c.kind, jobs.c.status, func.count()).where(jobs.c.status.in_(OPEN))
            open_jobs = connection.execute(open_counts.group_by(jobs.c.kind, jobs.c.status)).all()
            own = totals.c.daemon == self._daemon
            each = (totals.c.kind, totals.c.status, totals.c.bucket)
            sums = (func.sum(totals.c.count), func.sum(totals.c.seconds))
            ours = (func.sum(case((own, totals.c.count), else_=0)), func.sum(case((own, totals.c.seconds), else_=0.0)))
            ends = connection.execute(select(*each, *sums, *ours).group_by(*each).order_by(*each)).all()
            recent = connection.execute(select(jobs).order_by(jobs.c.updated.desc()).limit(RECENT)).all()
            shift = clock.shift(connection)
            at, read_ns = (clock.now(connection) + shift) / 1e6, time.monotonic_ns()
        return {
            "open": [list(row) for row in open_jobs],
            "ends": [[*row[:3], int(row[3]), row[4]] for row in ends],
            "own": [[*row[:3], int(row[5]), row[6]] for row in ends if row[5]],
            "recent": [job_of(row, shift).as_recent(at) for row in recent],
            "read_ns": read_ns,
        }


def _fitting(rows: Sequence[Any], left: dict[str, int]) -> list[str]:
    """The ids for which there is room; `left` is what is left of it then."""
    ids = []
    for row in rows:
        if left.get(row.kind, 0) > 0:
            left[row.kind] -= 1
            ids.append(row.id)
    for kind in [kind for kind, count in left.items() if count <= 0]:
        del left[kind]
    return ids


def _lost(row: Row[Any], why: str) -> End:
    return End(row.id, row.attempt, FAILED, None, why, row.output, row.progress, may_retry=True)
