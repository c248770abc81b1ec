"""Jobs before daemon: what the kernel kills first where memory runs out.

It takes the process with the highest score: its share of the memory in thousandths plus its oom_score_adj (proc(5)).
Any process may raise its own, and take that back; what it starts meanwhile inherits it. systemd leaves the rest of a
unit alone where the unit has OOMPolicy=continue.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

JOBS_SCORE = 500
"""As half of the memory: a small job goes before a daemon that has less than that."""

_OWN = Path("/proc/self/oom_score_adj")


@contextlib.contextmanager
def first_victims(file: Path = _OWN) -> Iterator[None]:
    """Processes that are started meanwhile have JOBS_SCORE at least. Used in one thread; raises nothing of its own.

    A score that can't be taken back stays: what this process runs is lost with it, and a job may be tried again.
    """
    own = _read(file)
    is_raised = own is not None and own < JOBS_SCORE and _write(file, JOBS_SCORE)
    try:
        yield
    finally:
        if is_raised and own is not None:
            _write(file, own)


def _read(file: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(file.read_text(encoding="ascii"))
    return None


def _write(file: Path, score: int) -> bool:
    with contextlib.suppress(OSError):
        file.write_text(str(score), encoding="ascii")
        return True
    return False
