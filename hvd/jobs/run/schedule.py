"""When the job runner does what: pauses between turns and between what a turn does. Pure; all times in s."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from hvd.settings.job_kinds import Kind

LOCAL_TURN, SHARED_TURN = 2.0, 1.0  # between turns without a reason; of a shared queue, others' jobs are seen then
PROGRESS_PAUSE = 0.5  # between two writes of the progress to the database, each of which is an event, too
FIGURES_PAUSE = 0.1  # between two readings of the counts
BUSY_FIGURES_PAUSE = 0.5  # while jobs end one after the other: a reading takes as long as several of them
OTHERS_FIGURES_PAUSE = 2.0  # until the counts are read again for what other runners did
PRUNE_PAUSE = 600.0
EXCHANGES = 0.1  # that exchanges may follow each other in one turn
TROUBLE_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)  # until a database that failed is tried again
LEASE_AGE = 1 / 3  # of a lease, at which it is renewed
LEASE_MARGIN = 0.7  # of a lease that could not be renewed: then the jobs are ended, before another machine starts them
CLAIM_PAUSE = 0.5  # until another attempt to claim a job that is due and wasn't claimed: another runner may have it
BUSY_CLAIM_PAUSE = 0.02  # the same, where the claim before brought jobs


class Room(NamedTuple):
    """How many more jobs may run: of each kind, and in all. Both can be below 0 after a reload."""

    by_kind: Mapping[str, int]
    total: int

    @classmethod
    def beside(cls, jobs: Iterable[str], kinds: Mapping[str, Kind], concurrency: int) -> "Room":
        """The room that is left beside jobs of these kinds."""
        used: dict[str, int] = {}
        for kind in jobs:
            used[kind] = used.get(kind, 0) + 1
        by_kind = {name: kind.concurrency - used.get(name, 0) for name, kind in kinds.items()}
        return cls(by_kind, concurrency - sum(used.values()))

    @property
    def kinds(self) -> list[str]:
        """The kinds of which one more may run."""
        return [name for name, count in self.by_kind.items() if count > 0] if self.total > 0 else []

    @property
    def most(self) -> int:
        """How many jobs may be claimed at most."""
        return self.total if self.kinds else 0


class Trouble:
    """Why the last turns failed, and how many of them."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Note that a turn has succeeded."""
        self.public = ""  # what strangers may read of it; empty where the last turn succeeded
        self._text = ""
        self._failures = 0

    def add(self, text: str, public: str) -> bool:
        """Note that a turn has failed. True where its text differs from the last one's, and belongs in the log."""
        is_news = text != self._text
        self._failures += 1
        self._text, self.public = text, public
        return is_news

    @property
    def pause(self) -> float:
        """Until the next turn."""
        return TROUBLE_PAUSES[min(self._failures, len(TROUBLE_PAUSES)) - 1]


def longest_rest(*, is_local: bool, lease: float, has_progress: bool, needs_figures: bool) -> float:
    """Until the next turn, if there is no reason before: so that lease, progress and counts are written in time."""
    rest = min(LOCAL_TURN if is_local else SHARED_TURN, LEASE_AGE * lease)
    if has_progress:
        rest = min(rest, PROGRESS_PAUSE)
    if needs_figures:
        rest = min(rest, FIGURES_PAUSE)
    return rest


def rest_until_due(due: float | None, rest: float, *, has_claimed: bool) -> float:
    """`rest`, cut short by a job that is due in so many s (None: there is none)."""
    if due is None:
        return rest
    return min(rest, max(due, BUSY_CLAIM_PAUSE if has_claimed else CLAIM_PAUSE))


def figures_pause(*, is_needed: bool, is_busy: bool) -> float:
    """Between two readings of the counts; `is_needed` where this runner has changed them."""
    if not is_needed:
        return OTHERS_FIGURES_PAUSE
    return BUSY_FIGURES_PAUSE if is_busy else FIGURES_PAUSE
