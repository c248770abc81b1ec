"""Waiting for jobs to end, however the daemon fares meanwhile."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hvd.cli.jobs.remote import Remote
from hvd.errors import DaemonRefused, DaemonUnreachable, HvdError, StillOpen
from hvd.jobs.states import ENDED

Json = dict[str, Any]
Show = Callable[[Sequence[Json]], None]

QUICK, SLOW = 0.5, 2.0  # s between two questions: after a change, and the longest
PATIENCE = 60.0  # s that a daemon may be away, where no time is set: a restart takes a few
_LATER = frozenset({429, 503})  # refusals that may be over soon


def follow(
    remote: Remote,
    ids: Sequence[str],
    within: float | None,
    show: Show,
    *,
    note: Callable[[str], None] = lambda text: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Json]:
    """Ask until all these jobs have ended; gives the jobs, in the order of the ids.

    `show` gets the jobs of each answer, `note` the reason why there was none. Raises DaemonRefused for an unknown id,
    StillOpen after `within` seconds, or then the error of a daemon that is away. Without that limit, a daemon may be
    away for PATIENCE once it has answered.
    """
    jobs: dict[str, Json] = {job_id: {} for job_id in ids}
    contact = _Contact(clock, within)
    pause = QUICK
    while waiting := [job_id for job_id, job in jobs.items() if job.get("status") not in ENDED]:
        try:
            answers, unknown = remote.query(waiting)
        except (DaemonUnreachable, DaemonRefused) as error:
            contact.note_failure(error)
            note(f"{error}; trying on")
        else:
            contact.note_answer()
            if unknown:
                raise DaemonRefused(f"no job has the id {', '.join(unknown[:10])}", 404)
            newest = {str(job.get("id")): job for job in answers}
            has_changed = any(job != jobs[job_id] for job_id, job in newest.items())
            pause = QUICK if has_changed else min(SLOW, pause * 1.25)
            jobs |= newest
            show(answers)
            if all(job.get("status") in ENDED for job in jobs.values()):
                break
        remaining = contact.seconds_left()
        if remaining <= 0:
            raise StillOpen(f"{len(waiting)} of {len(jobs)} jobs had not ended after {within:g} s")
        sleep(min(pause, remaining))
    return list(jobs.values())


def output_pieces(
    remote: Remote,
    job_id: str,
    *,
    note: Callable[[str], None] = lambda text: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[bytes]:
    """What the job prints, as it comes, until it has ended; `note` gets what is missing, and why nothing comes."""
    at, contact = 0, _Contact(clock, None)
    while True:
        began = clock()
        try:
            piece = remote.output(job_id, at)
        except (DaemonUnreachable, DaemonRefused) as error:
            contact.note_failure(error)
            note(f"{error}; trying on")
        else:
            contact.note_answer()
            if piece.data:
                if piece.start > at:
                    note(f"{piece.start - at} bytes are left out here")
                at = piece.start + len(piece.data)
                yield piece.data
                continue
            if piece.status in ENDED:
                return
        sleep(max(0.0, QUICK - (clock() - began)))  # a daemon that has no thread to wait with answers at once


class _Contact:
    """How long a daemon has been away, and how long that may go on."""

    def __init__(self, clock: Callable[[], float], within: float | None) -> None:
        self._clock = clock
        self._end = None if within is None else clock() + within
        self._last: float | None = None  # when it answered

    def seconds_left(self) -> float:
        """Seconds until the limit; infinite without one."""
        return math.inf if self._end is None else self._end - self._clock()

    def note_answer(self) -> None:
        """Note that the daemon has answered."""
        self._last = self._clock()

    def note_failure(self, error: HvdError) -> None:
        """Note that there was no answer. Raises the error where waiting on is of no use."""
        if isinstance(error, DaemonRefused) and error.status not in _LATER:
            raise error
        has_patience = self._last is not None and self._clock() - self._last <= PATIENCE
        if self.seconds_left() <= 0 or (self._end is None and not has_patience):
            raise error
