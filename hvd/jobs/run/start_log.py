"""Which attempts a runner has started: noted in a file before each start, for the next runner of this machine.

A runner may die after it has claimed a job and before it has started it. Such a job has had no attempt: it may run,
even if its kind grants only one. The database knows claims only, and to note starts there would halve how many jobs a
runner can start. A file is enough: it outlives the runner. It need not outlive the boot, since no other boot reads it.
"""

import contextlib
import logging
import os
from collections.abc import Iterable
from pathlib import Path

FULL = 64 * 1024  # bytes, after which the file is written anew with what still runs: 1,500 starts

log = logging.getLogger("hvd.jobs")


class StartLog:
    """The notes of one runner, and those that others left in the same folder. One thread at a time."""

    def __init__(self, folder: str, runner: str) -> None:
        self._folder = Path(folder)
        self._path = self._path_of(runner)
        self._fd = -1
        self._size = 0

    def _path_of(self, runner: str) -> Path:
        return self._folder / f"started-{runner}"

    def begin(self, running: Iterable[tuple[str, int]] = ()) -> None:
        """A new file, with the ids and attempts of what runs.

        Where nothing can be written there is no file: then the next runner takes all that was claimed as started.
        """
        self.close()
        new = self._path.with_suffix(".new")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._size = os.write(self._fd, b"".join(_line(*attempt) for attempt in running))
            new.rename(self._path)
        except OSError as error:
            self._give_up(error)

    def note(self, job: str, attempt: int) -> None:
        """Note that this attempt is started next. Raises nothing: what fails is logged, and the file removed."""
        if self._fd >= 0:
            try:
                self._size += os.write(self._fd, _line(job, attempt))
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        log.warning("what is started can't be noted in %s: %s", self._path, error.strerror)
        self.remove()

    @property
    def is_full(self) -> bool:
        """True once the file is long, and most of it of what has ended: `begin` makes it short."""
        return self._size > FULL

    def read(self, runner: str) -> set[tuple[str, int]] | None:
        """Ids and attempts that a runner which is gone had started; None where that isn't known."""
        try:
            text = self._path_of(runner).read_text(encoding="ascii")
            return {(job, int(attempt)) for job, attempt in map(str.split, text.split("\n")[:-1])}
        except (OSError, ValueError):  # nobody knows what a damaged file lacks
            return None

    def forget(self, runner: str) -> None:
        """Remove the file of a runner whose jobs were taken over."""
        with contextlib.suppress(OSError):
            self._path_of(runner).unlink()

    def remove(self) -> None:
        """Remove the own file: nothing runs any more."""
        self.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def close(self) -> None:
        """Close the own file, which stays."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._size = -1, 0


def _line(job: str, attempt: int) -> bytes:
    return f"{job} {attempt}\n".encode()
