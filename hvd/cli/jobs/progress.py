"""How far jobs are, on stdout: bars on a terminal, else lines."""

import locale
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hvd.cli.jobs.follow import Show
from hvd.cli.jobs.show import field, stdout_encoding
from hvd.jobs.states import ENDED, RUNNING
from hvd.settings.variables import environment
from hvd.texts import UNKNOWN, number, plain

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Json = dict[str, Any]

_BARS_MAX = 10  # jobs with a bar of their own
_STEP = 10.0  # percent between two lines of one job
_NAME_MAX = 30  # characters before a bar


@contextmanager
def progress() -> Iterator[Show]:
    """What shows jobs on stdout."""
    if not moves(environment()):
        yield Lines()
        return
    with make_bars() as bars:
        yield Bars(bars)


def moves(environ: Mapping[str, str]) -> bool:
    """Whether stdout is a terminal for animated bars: it must redraw lines, have colours and the bars' characters, and
    the user must not have turned colours off.
    """
    if sys.stdout is None or not sys.stdout.isatty() or environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return False
    is_plain = (environ.get("LC_ALL") or environ.get("LANG")) in ("C", "POSIX")
    encodings = stdout_encoding(), locale.getencoding()
    return not is_plain and all(encoding.lower().replace("-", "") == "utf8" for encoding in encodings)


def make_bars(**more: Any) -> "Progress":
    """An empty list of bars; `more` as for rich's Progress."""
    from rich.progress import BarColumn, Progress, Task, TextColumn, TimeElapsedColumn
    from rich.progress_bar import ProgressBar

    class Bar(BarColumn):
        """One that pulses where nobody knows how far it is."""

        def render(self, task: Task) -> ProgressBar:
            bar = super().render(task)
            bar.pulse = task.fields["pulses"]
            return bar

    # red is for what went wrong
    pulsing = Bar(complete_style="cyan", finished_style="green", pulse_style="cyan")
    columns = TextColumn("{task.description}", markup=False), pulsing, TextColumn("{task.fields[percent]:>4}")
    return Progress(*columns, TextColumn("{task.fields[status]}", markup=False), TimeElapsedColumn(), **more)


class Lines:
    """A line for each job when its status changes, and every ten percent."""

    def __init__(self) -> None:
        self._printed: dict[object, tuple[object, float]] = {}

    def __call__(self, jobs: Sequence[Json]) -> None:
        for job in jobs:
            status, done = job.get("status"), _progress(job)
            before = self._printed.get(job.get("id"))
            if before is None or before[0] != status or done >= before[1] + _STEP:
                self._printed[job.get("id")] = status, done
                print(line(job), flush=True)


def line(job: Json) -> str:
    """A job's id, where it stands, and why it failed."""
    encoding = stdout_encoding()
    names = ["id", "status", "progress", "name"]
    names += ["duration_seconds"] if job.get("status") in ENDED and job.get("duration_seconds") else []
    names += ["error"] if job.get("error") else []
    return "  ".join(field(job, name, encoding) for name in names)


def _progress(job: Json) -> float:
    return number(job.get("progress")) or 0.0


class Bars:
    """A bar for each job, which pulses while the job runs and hasn't said how far it is; for many jobs one bar, which
    counts those that have ended.
    """

    def __init__(self, bars: "Progress") -> None:
        self._bars = bars
        self._tasks: dict[object, TaskID] = {}
        self._ended: dict[object, bool] = {}

    def __call__(self, jobs: Sequence[Json]) -> None:
        self._ended |= {job.get("id"): job.get("status") in ENDED for job in jobs}
        if len(self._ended) > _BARS_MAX:
            ended, total = sum(self._ended.values()), len(self._ended)
            self._update("", f"{total} jobs", f"{ended} ended", 100 * ended / total, pulses=False, ended=ended == total)
            return
        for job in jobs:
            name, status = plain(job.get("name"), most=_NAME_MAX), plain(job.get("status"))
            done, ended = _progress(job), self._ended[job.get("id")]
            self._update(job.get("id"), name, status, done, pulses=status == RUNNING and not done, ended=ended)

    def _update(self, key: object, name: str, status: str, done: float, *, pulses: bool, ended: bool) -> None:
        fields: dict[str, Any] = {"status": status, "pulses": pulses, "percent": f"{done:.0f}%" if done else UNKNOWN}
        if key not in self._tasks:
            self._tasks[key] = self._bars.add_task(name, total=100, **fields)
        self._bars.update(self._tasks[key], completed=done, **fields)
        if ended:
            self._bars.stop_task(self._tasks[key])
