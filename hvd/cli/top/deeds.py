"""What the user asks of a daemon beside its numbers: in a thread, which keeps nobody from quitting."""

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from rich.text import Text

from hvd.cli.answers import Json
from hvd.cli.client import Address
from hvd.cli.top.ask import job_lines, stack_lines
from hvd.cli.top.columns import Table
from hvd.cli.top.details import detail_lines, title_of
from hvd.cli.top.frame import Glyphs
from hvd.cli.top.model import Model
from hvd.errors import DaemonRefused, DaemonUnreachable
from hvd.texts import number

T = TypeVar("T")


class Details:
    """All of one row, as it is now. `known` gives the model and the rows of its list; `more` are lines of what the
    daemon was asked for: where a worker's threads are, what a job has printed.
    """

    def __init__(self, table: Table, row: Json, known: Callable[[], tuple[Model, Sequence[Json]]]) -> None:
        self._table, self._row, self._known = table, row, known
        self.more: list[str] | None = None

    @property
    def _name(self) -> str:
        return {"workers": "threads", "jobs": "last lines"}.get(self._table.name, "")

    def content(self, glyphs: Glyphs) -> tuple[str, list[Text]]:
        """Title and lines; of a row that has gone, what was last known of it."""
        model, rows = self._known()
        key = self._table.key(self._row)
        self._row = next((row for row in rows if self._table.key(row) == key), self._row)
        lines = detail_lines(self._table.name, self._row, model, glyphs)
        if self._name:
            head = f"{self._name}:" if self.more is not None else f"{self._name}: asking"
            lines += [Text(end=""), Text(head, "bold underline", end="")]
            lines += [
                Text(glyphs.said(line) if line else "", end="")
                for line in (["none"] if self.more == [] else self.more or [])
            ]
        return title_of(self._table.name, self._row, glyphs), lines

    def question(self, address: Address, timeout: float) -> Callable[[], list[str]] | None:
        """What to ask the daemon for; None where there is nothing."""
        row = self._row
        if self._table.name == "workers":
            return lambda: stack_lines(address, int(number(row.get("pid")) or 0), timeout)
        return (lambda: job_lines(address, str(row["id"]), timeout)) if self._table.name == "jobs" else None


def in_thread(
    work: Callable[[], T], done: Callable[[T], None], failed: Callable[[DaemonUnreachable | DaemonRefused], None]
) -> None:
    """Do what may take a while, then `done` with its result, or `failed` with why there is none, in that thread."""

    def run() -> None:
        try:
            result = work()
        except (DaemonUnreachable, DaemonRefused) as error:
            failed(error)
        else:
            done(result)

    threading.Thread(target=run, name="hvd-top-deed", daemon=True).start()
