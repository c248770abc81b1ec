"""What the processes' values of a gauge come to, by its mode; and which processes there are."""

import json
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.own.catalogue import OwnFamily, OwnSeries
from hvd.core.own.definition import GAUGE, INFO, Definition
from hvd.core.own.hot import gauge_samples, gauge_values
from hvd.core.own.samples import Sample
from hvd.core.own.sums import sum_of
from hvd.core.proc import is_alive


class Tenant(NamedTuple):
    """A process that has a slot: where its row begins, its pid, since when, and whether it lives."""

    row: int
    pid: int
    tenancy: int
    is_alive: bool


_RECORD = layout.S_TAKEN_NS, layout.S_TAKEN, layout.S_PID, layout.S_PID_START


class Gauges:
    """The gauges of a block, with the processes as they were when they were last read. One thread at a time uses it."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._records: list[tuple[int, ...]] = []  # of all slots, the cells of _RECORD
        self._tenants: tuple[Tenant, ...] = ()
        self._alive: list[tuple[int, int, str]] = []  # of those that live: row, tenancy, pid
        self._pids: list[str] = []  # of these
        self.need_living = False
        """Whether anything depends on which processes live: finding out is most of the cost of a quiet reading."""
        self._pairs = {keeps: memoryview(array("q")) for keeps in (False, True)}  # see gauge_values; of all rows: 0
        self.rows: list[int] = []
        """Where each row begins that was ever in use."""

    def read_tenants(self) -> bool:
        """Look which processes there are. -> whether they are others than before."""
        records = list(zip(*map(self._column, _RECORD), strict=True))
        if records == self._records and not self.need_living:
            return False
        self._records = records
        before, self._tenants = self._tenants, tuple(self._all_tenants(records))
        self._alive = [(tenant.row, tenant.tenancy, str(tenant.pid)) for tenant in self._tenants if tenant.is_alive]
        self._pids = [pid for _, _, pid in self._alive]
        self.rows = [tenant.row for tenant in self._tenants]
        if self._tenants == before:
            return False
        self._pairs = {
            False: memoryview(array("q", [number for row, tenancy, _ in self._alive for number in (row, tenancy)])),
            True: memoryview(array("q", [number for row in self.rows for number in (row, 0)])),
        }
        return True

    def _all_tenants(self, records: Iterable[tuple[int, ...]]) -> Iterator[Tenant]:
        """Those that have a slot, and a row without one where a slot was ever prepared or taken."""
        shape = self._block.layout
        for number, (since, is_taken, pid, pid_start) in enumerate(records):
            if since:
                has_process = bool(is_taken and pid)
                tenant = Tenant(shape.own_row_cell(number), 0, 0, is_alive=False)
                if has_process:
                    lives = self.need_living and is_alive(pid, pid_start)
                    tenant = Tenant(tenant.row, pid, since, lives)
                yield tenant

    def _column(self, cell: int) -> list[int]:
        """This cell of all slots."""
        shape = self._block.layout
        first = shape.slot_table // layout.CELL + cell
        cells: list[int] = self._block.cells[
            first : first + shape.slots * layout.SLOT_CELLS : layout.SLOT_CELLS
        ].tolist()
        return cells

    def is_declared(self, family: OwnFamily) -> bool:
        """Whether a process that lives has declared it."""
        cells = self._block.cells
        return any(cells[row + family.present] == tenancy for row, tenancy, _ in self._alive)

    def samples(self, series: OwnSeries) -> tuple[Sample, ...]:
        """What is shown of a series."""
        if family_is_by_process(series.family.definition):
            like, pairs = Sample(series.labels, 0.0, series.created), self._pairs[False]
            return gauge_samples(self._block.raw, pairs, series.offset, self._pids, like)
        return tuple([Sample(labels, value, series.created) for labels, value in self._combined(series)])

    def _combined(self, series: OwnSeries) -> list[tuple[tuple[str, ...], float | Mapping[str, str]]]:
        """Label values and value of a series that isn't shown by process; of an info the last label is when it was
        said.
        """
        definition = series.family.definition
        if definition.kind == GAUGE and "mostrecent" not in definition.mode:
            amounts = gauge_values(self._block.raw, self._pairs[definition.keeps], series.offset)
            return [(series.labels, merged_values(definition.mode, amounts))] if amounts else []
        values = self._values(series)
        if not values:
            return []
        if definition.kind == INFO and series.is_overflow:
            return []  # nobody knows what it says
        if definition.kind == INFO:
            latest = max(time for _, time in values)
            return [((*series.labels[:-1], repr(latest)), json.loads(series.labels[-1]))]
        return [(series.labels, merged(definition.mode, values))]

    def _of_living(self, series: OwnSeries) -> list[tuple[int, str]]:
        """Where the processes alive have set it, with their pids."""
        cells, first = self._block.cells, series.offset
        return [(row + first, pid) for row, tenancy, pid in self._alive if cells[row + first + 1] == tenancy]

    def _values(self, series: OwnSeries) -> list[tuple[float, float]]:
        """Value and time of each process that counts: of the living ones, or of all rows, those of the dead too."""
        cells, floats, first = self._block.cells, self._block.floats, series.offset
        if series.family.definition.keeps:
            places = [row + first for row in self.rows if cells[row + first + 1]]
        else:
            places = [cell for cell, _ in self._of_living(series)]
        has_time = series.end - first > 2
        return [(floats[cell], floats[cell + 2] if has_time else 0.0) for cell in places]


def family_is_by_process(definition: Definition) -> bool:
    """Whether each process's value is shown for itself, with its pid."""
    return definition.kind == GAUGE and definition.mode.removeprefix("live") == "all"


def merged(mode: str, values: list[tuple[float, float]]) -> float:
    """What several processes' values, each with its time, come to; those that are no number are left out."""
    if mode.removeprefix("live") == "mostrecent":
        return max(values, key=lambda pair: pair[1])[0]
    return merged_values(mode, [value for value, _ in values])


def merged_values(mode: str, values: list[float]) -> float:
    """As `merged`, for the modes that need no time."""
    numbers = [value for value in values if value == value] if any(map(math.isnan, values)) else values
    if not numbers:
        return math.nan
    kind = mode.removeprefix("live")
    if kind == "sum":
        return sum_of(numbers)
    return min(numbers) if kind == "min" else max(numbers)
