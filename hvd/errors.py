"""Every exception that hvd raises on purpose. A message says what was wrong, its value, and what to do.

* `HvdError`
    * `SettingsError`: settings that can't be used, all of them at once
    * `BlockError`: the shared-memory block can't be used
        * `BlockInUse`: its owner is alive
        * `BlockForeign`: another layout, corrupt, or another user's
        * `BlockFull`: no room is left in it
        * `BlockLocked`: another process keeps it locked
    * `TotalsUnusable`: a file of totals and history can't be gone on from
    * `CannotStart`: the daemon can't start here: what it needs is another's, or refused to it
    * `NoFreeSlot`: every slot of the block belongs to a live process
    * `DaemonUnreachable`: no daemon answered, or what answered isn't hvd
    * `DaemonsAmbiguous`: several daemons run, and nothing says which of them is meant
    * `JoinRefused`: the daemon is another user's
    * `DaemonRefused`: the daemon answered that it won't do what was asked
    * `StillOpen`: jobs that were waited for had not ended in time
    * `JobsError`: the jobs' database can't do what was asked
        * `StoreUnavailable`: the database is down, full or read-only
        * `StoreNewer`: its schema is of a newer hvd
        * `QueueFull`: as many jobs wait as may
        * `KeyConflict`: an idempotency key that was used for other jobs
"""

from collections.abc import Iterable


class HvdError(Exception):
    """Base of the tree: catching it catches whatever hvd raises on purpose."""


class SettingsError(HvdError):
    """Settings that can't be used: `problems` holds those found, and `str()` gives one a line.

    Of very many, as a wrong file has them, only the first are listed; `unlisted` is the number of the others.
    """

    def __init__(self, problems: Iterable[str], unlisted: int = 0) -> None:
        self.problems = tuple(problems)
        self.unlisted = unlisted
        super().__init__(self.problems, unlisted)

    def __str__(self) -> str:
        return "\n".join(self.problems)


class BlockError(HvdError):
    """The shared-memory block can't be created, attached or used."""


class BlockInUse(BlockError):  # noqa: N818
    """The block belongs to a process that is alive; two daemons can't share an instance name."""


class BlockForeign(BlockError):  # noqa: N818
    """The block isn't ours to touch: another layout, corrupt, or owned by another user."""


class BlockFull(BlockError):  # noqa: N818
    """The block has no room left for what was asked."""


class TotalsUnusable(HvdError):  # noqa: N818
    """A file of totals and history is damaged, of a newer form, or not ours."""


class CannotStart(HvdError):  # noqa: N818
    """The daemon can't start here: what it needs is another's, or the system refuses it."""


class BlockLocked(BlockError):  # noqa: N818
    """Another process keeps the block's lock, which is held for microseconds: it is stopped, or gets no processor."""


class NoFreeSlot(HvdError):  # noqa: N818
    """Every slot belongs to a live process; the setting `slots` is too small for `workers`."""


class DaemonUnreachable(HvdError):  # noqa: N818
    """No daemon answered at the address asked, or what answered isn't hvd.

    `is_silent` is true where nothing answered at all; `reason` says in a few words what happened.
    """

    def __init__(self, text: str, reason: str = "it is not hvd", *, is_silent: bool = False) -> None:
        super().__init__(text)
        self.reason = reason
        self.is_silent = is_silent


class DaemonsAmbiguous(HvdError):  # noqa: N818
    """Several daemons run, and neither arguments nor settings say which of them is meant."""


class JoinRefused(HvdError):  # noqa: N818
    """The daemon is another user's, in whose block this process may not count."""


class DaemonRefused(HvdError):  # noqa: N818
    """The daemon answered that it won't do what was asked; the text is what it said, `status` the answer's."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text, status)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])


class StillOpen(HvdError):  # noqa: N818
    """The time is over, and jobs that were waited for have not ended."""


class JobsError(HvdError):
    """The jobs' database can't do what was asked of it. `public` is what strangers may read of it."""

    @property
    def public(self) -> str:
        return str(self)


class StoreUnavailable(JobsError):  # noqa: N818
    """The database is down, full or read-only; it may work again later, with nobody doing anything to hvd.

    The text may name the database's user, host and file, so `public` doesn't repeat it.
    """

    def __init__(self, text: str, public: str = "the jobs' database can't be used: the daemon's log says why") -> None:
        super().__init__(text)
        self._public = public

    @property
    def public(self) -> str:
        return self._public


class StoreNewer(JobsError):  # noqa: N818
    """The database has a schema that only a newer hvd knows."""

    @property
    def public(self) -> str:
        return "the jobs' database has a schema that only a newer hvd knows"


class QueueFull(JobsError):  # noqa: N818
    """As many jobs are pending as may be; none of those submitted has been taken."""


class KeyConflict(JobsError):  # noqa: N818
    """The idempotency key was used before, for other jobs."""
