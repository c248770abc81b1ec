"""The own metrics' catalogue: which families and series there are, and which cells of a row they own.

It lies in a place of its own and is as ../catalogue.py says: append-only, each record with its length and CRC-32, and
visible by the last store.

    {"family": n, "present": offset, "name": …}    a family, the n-th from 0 on; more in Definition.as_record
    [n, [value, …], offset, created, state]        a series: of the n-th family, created at that Unix time in s
    [n, null, offset, created, state]              its overflow series

Offsets are counted from the head of a row of own metrics. A process stores into the cell `present` when it took its
slot (S_TAKEN_NS): so of two definitions of one name it can be told which one living processes have. `state` is the
only cell of a record that changes: see SHOWN; of a family it has what was logged of it: see DISAGREES.
"""

import json
import struct
import time
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.hot import fence
from hvd.core.limits import OVERFLOW, RETRY
from hvd.core.locks import COUNT_WAIT
from hvd.core.own.definition import INFO, INFO_CHARS, INT, LABEL_CHARS, STAMP, VALUE, Definition
from hvd.core.own.sums import LARGEST, sum_of
from hvd.errors import BlockError, BlockForeign, BlockFull

SHOWN, REMOVED, LEAVING, BACK = range(4)
"""What the state of a series says: it is shown; it was removed, and is shown again as soon as it has grown; it is just
being removed; it was removed, and is shown again, from 0 on. Above these two bits the cell has when it was removed for
the last time, Unix time in us.
"""
_STATE_BITS = 2

_decode = json.JSONDecoder().raw_decode  # json.loads looks for space around it, too, which takes as long
_PREFIX = struct.Struct("<II")
_HEAD = _PREFIX.size
RESERVE = layout.PAGE_CELLS  # cells for which memory is reserved at once


@dataclass(frozen=True, eq=False)
class OwnFamily:
    """A family of the block: the `number`-th, the cell in which its processes say that they are there, and the cell of
    the block that says what was logged of it.
    """

    number: int
    definition: Definition
    present: int
    logged: int


@dataclass(eq=False, slots=True)
class OwnSeries:
    """A series: it owns the cells from `offset` to `end` of each row. `created` is Unix time in s, `state` a cell of
    the block. Nobody changes it.
    """

    family: OwnFamily
    labels: tuple[str, ...]
    offset: int
    end: int
    created: float
    state: int
    is_overflow: bool


class OwnCatalogue:
    """This process's view of it; families and series are in order of appearance. One thread at a time uses it."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._read = 0
        self._series: dict[tuple[int, tuple[str, ...] | None], OwnSeries] = {}  # None: the overflow series
        self._sizes: Counter[int] = Counter()
        self._retry_at = 0.0
        self.trouble = ""
        """Why the last series that could not be appended could not."""
        self.families: list[OwnFamily] = []
        self.series: list[OwnSeries] = []

    @property
    def most(self) -> int:
        """How many series a family may have."""
        return self._block.layout.own_series // 2

    def refresh(self) -> None:
        """Read what other processes appended since. Raises BlockForeign where a record is damaged."""
        end = self._block.cells[layout.H_OWN_BYTES]
        fence()
        raw, first = self._block.raw, self._block.layout.own_catalogue
        while self._read < end:
            start = first + self._read
            length, checksum = _PREFIX.unpack(raw[start : start + _HEAD])
            start += _HEAD
            payload = bytes(raw[start : min(start + length, first + end)])
            if not length or zlib.crc32(payload) != checksum:
                raise BlockForeign(f"block {self._block.name}: record at byte {self._read} of own metrics is damaged")
            behind = self._read + layout.round_up(_HEAD + length, layout.CELL) + layout.CELL
            try:
                self._take_in(_decode(payload.decode())[0], (first + behind) // layout.CELL - 1)
            except (KeyError, TypeError, ValueError, IndexError):
                raise BlockForeign(f"block {self._block.name}: a record of own metrics makes no sense") from None
            self._read = behind

    def _take_in(self, record: Any, state: int) -> None:
        if isinstance(record, dict):
            definition, present = Definition.of_record(record), int(record["present"])
            self.families.append(OwnFamily(len(self.families), definition, present, state))
            return
        number, labels, offset, created = record[:4]
        family = self.families[number]
        values = (OVERFLOW,) * len(family.definition.labels) if labels is None else tuple(labels)
        end = offset + len(family.definition.cells)
        if not self._block.layout.own_marks <= offset <= end <= self._block.layout.own_row_cells:
            raise ValueError(offset)
        series = OwnSeries(family, values, offset, end, created, state, labels is None)
        self._series[number, None if labels is None else values] = series
        if labels is not None:
            self._sizes[number] += 1
        self.series.append(series)

    def declare(self, definition: Definition) -> OwnFamily:
        """The family of this definition, appended if there is none; with an overflow series, where it has labels.

        Raises BlockFull, BlockLocked; BlockForeign where the catalogue is damaged.
        """
        self.refresh()
        family = self._same(definition)
        if family is None:
            with self._block.locked(COUNT_WAIT):
                self.refresh()
                if self._same(definition) is None:
                    self._append_family(definition)
            family = self._same(definition)
        assert family
        return family

    def _same(self, definition: Definition) -> OwnFamily | None:
        return next((family for family in self.families if family.definition.agrees(definition)), None)

    def rivals(self, family: OwnFamily) -> list[OwnFamily]:
        """Those of the same name and registry that were declared before it, and disagree."""
        name = family.definition.name, family.definition.registry
        return [
            other
            for other in self.families[: family.number]
            if (other.definition.name, other.definition.registry) == name
        ]

    def get_or_add(self, family: OwnFamily, labels: tuple[str, ...], created: float = 0.0) -> OwnSeries | None:
        """The series of these label values; the overflow series where it can't be had, None where not even that. A new
        one is created now, or when `created` says (Unix time in s).

        It comes back, with 0, where it was removed. Raises BlockLocked; BlockForeign where the catalogue is damaged.
        """
        labels = bounded_labels_of(family.definition, labels)
        self.refresh()
        series = self._series.get((family.number, labels))
        if series is None and not self.is_full(family) and time.monotonic() >= self._retry_at:
            with self._block.locked(COUNT_WAIT):
                self.refresh()
                if (family.number, labels) not in self._series and not self.is_full(family):
                    self._try_to_append(family, labels, created or time.time())
            series = self._series.get((family.number, labels))
        if series is None:
            return self._series.get((family.number, None))
        if state_of(self._block, series) in (REMOVED, LEAVING):
            self._block.cells[series.state] |= BACK
            self._block.cells[layout.H_OWN_REMOVALS] += 1
        return series

    def find(self, family: OwnFamily, labels: tuple[str, ...]) -> OwnSeries | None:
        """The series of these label values, if there is one."""
        self.refresh()
        return self._series.get((family.number, bounded_labels_of(family.definition, labels)))

    def of(self, family: OwnFamily) -> list[OwnSeries]:
        """The family's series, the overflow series too."""
        self.refresh()
        return [series for series in self.series if series.family is family]

    def rest(self, family: OwnFamily) -> OwnSeries | None:
        """The family's overflow series; None where it has no labels."""
        self.refresh()
        return self._series.get((family.number, None))

    def remove(self, family: OwnFamily, wanted: Iterable[tuple[str, ...]] | None) -> None:
        """Show these series no more, until they grow again; None: all of the family. Raises BlockError."""
        with self._block.locked(COUNT_WAIT):
            self.refresh()
            keys = None if wanted is None else {bounded_labels_of(family.definition, labels) for labels in wanted}
            for series in self.series:
                if series.family is family and (keys is None or series.labels in keys):
                    self._remove(series)
            self._block.cells[layout.H_OWN_REMOVALS] += 1

    def _remove(self, series: OwnSeries) -> None:
        """Note what the series has counted so far in the row of what was removed. A gauge only loses its stamps."""
        block, shape, kinds = self._block, self._block.layout, series.family.definition.cells
        rows = [shape.own_row_cell(slot) + series.offset for slot in used_slots(block)]
        if VALUE in kinds:
            for row in rows:
                block.cells[row + kinds.index(STAMP)] = 0
                block.cells[row - series.offset + series.offset // layout.PAGE_CELLS] = -block.cells[layout.H_EPOCH]
            return
        removed = shape.own_row_cell(shape.slots) + series.offset
        block.reserve(removed, len(kinds))
        now = time.time_ns() // 1000 << _STATE_BITS
        block.cells[series.state] = now | LEAVING
        floats = block.floats
        for index, kind in enumerate(kinds):
            if kind == INT:
                block.cells[removed + index] = min(LARGEST, sum(block.cells[row + index] for row in rows))
            else:
                floats[removed + index] = sum_of([floats[row + index] for row in rows])
        fence()
        block.cells[series.state] = now | REMOVED

    def count(self, family: OwnFamily) -> int:
        """How many series the family has, without the overflow series."""
        return self._sizes[family.number]

    def is_first_to_log(self, family: OwnFamily, bit: int) -> bool:
        """Whether no process has logged that yet, and note that this one does. True where the block is locked."""
        try:
            with self._block.locked(COUNT_WAIT):
                is_first = not self._block.cells[family.logged] & bit
                self._block.cells[family.logged] |= bit
        except BlockError:
            return True
        return is_first

    def is_full(self, family: OwnFamily) -> bool:
        """Whether the family has as many series as it may."""
        return self._sizes[family.number] >= self.most

    def _append_family(self, definition: Definition) -> None:
        number, present = len(self.families), self._block.cells[layout.H_OWN_USED]
        record = {"family": number, "present": present, **definition.as_record()}
        cells = len(definition.cells)
        series = _encode([number, None, present + 2, round(time.time(), 3)]) if definition.labels else b""
        self._publish(_encode(record) + series, 2 + (cells if definition.labels else 0))

    def _try_to_append(self, family: OwnFamily, labels: tuple[str, ...], created: float) -> None:
        try:
            self._append_series(family, labels, created)
        except BlockFull as error:
            self.trouble, self._retry_at = str(error), time.monotonic() + RETRY

    def _append_series(self, family: OwnFamily, labels: tuple[str, ...], created: float) -> None:
        record = [family.number, labels, self._block.cells[layout.H_OWN_USED], round(created, 3)]
        self._publish(_encode(record), len(family.definition.cells))

    def _publish(self, records: bytes, cells: int) -> None:
        """Store the records, which own so many cells more. The caller holds the lock. Raises BlockFull."""
        block, shape = self._block, self._block.layout
        offset, used = block.cells[layout.H_OWN_USED], block.cells[layout.H_OWN_BYTES]
        end = layout.round_up(offset + cells, 2)
        if end > shape.own_row_cells or used + len(records) > shape.own_catalogue_bytes:
            raise BlockFull(f"block {block.name} has no room for another series of own metrics: set own_series higher")
        start = shape.own_catalogue + used
        block.reserve(start // layout.CELL, len(records) // layout.CELL)
        self._reserve(end)
        block.raw[start : start + len(records)] = records
        block.cells[layout.H_OWN_USED] = end
        fence()
        block.cells[layout.H_OWN_BYTES] = used + len(records)
        self.refresh()

    def _reserve(self, end: int) -> None:
        """Memory up to that cell of each row that was ever in use: a store without memory would end its process."""
        block, shape = self._block, self._block.layout
        reserved = block.cells[layout.H_OWN_RESERVED]
        if end <= reserved:
            return
        wanted = min(layout.round_up(end, RESERVE), shape.own_row_cells)
        for slot in used_slots(block):
            block.reserve(shape.own_row_cell(slot) + reserved, wanted - reserved)
        block.cells[layout.H_OWN_RESERVED] = wanted


def state_of(block: Block, series: OwnSeries) -> int:
    """What its state says: one of SHOWN, REMOVED, LEAVING, BACK."""
    return int(block.cells[series.state]) & BACK


def begin_of(block: Block, series: OwnSeries) -> float:
    """Since when it counts, Unix time in s: when it was created, or removed for the last time."""
    return max(series.created, (block.cells[series.state] >> _STATE_BITS) / 1e6)


def used_slots(block: Block) -> list[int]:
    """The slots whose rows of own metrics have memory: those that ever were taken, or were prepared for it."""
    first = block.layout.slot_table // layout.CELL + layout.S_TAKEN_NS
    end = first + block.layout.slots * layout.SLOT_CELLS
    return [slot for slot, since in enumerate(block.cells[first : end : layout.SLOT_CELLS].tolist()) if since]


def bounded_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Label values as the catalogue has them: bounded, of characters that UTF-8 has, and not an overflow series'."""
    texts = tuple(map(_bounded, labels))
    return (*texts[:-1], f"{OVERFLOW}_") if texts and set(texts) == {OVERFLOW} else texts


def bounded_labels_of(definition: Definition, labels: tuple[str, ...]) -> tuple[str, ...]:
    """The same of a series of this definition. What an info says stays JSON, each of its texts bounded by itself."""
    if definition.kind == INFO:
        return (*bounded_labels(labels[:-1]), _bounded_facts(labels[-1]))
    return bounded_labels(labels)


def _bounded_facts(text: str) -> str:
    try:
        facts = {_bounded(str(name)): _bounded(str(value)) for name, value in json.loads(text).items()}
    except (ValueError, AttributeError):
        return "{}"
    parts, room = [], INFO_CHARS - 1  # for the braces, one of which has the place of a last comma
    for item in facts.items():
        parts.append(json.dumps(dict((item,)), separators=(",", ":"))[1:-1])
        room -= len(parts[-1]) + 1
        if room < 0:
            parts.pop()
            break
    return f"{{{','.join(parts)}}}"


def _bounded(text: str) -> str:
    text = text.encode("utf-8", "backslashreplace").decode()  # a lone surrogate
    if len(text) <= LABEL_CHARS:
        return text
    return f"{text[:LABEL_CHARS]}~{zlib.crc32(text.encode()):08x}"


def _encode(record: Any) -> bytes:
    """A record, and a cell behind it, which is 0."""
    text = json.dumps(record, separators=(",", ":"), ensure_ascii=False)
    payload = text.encode("utf-8", "backslashreplace")  # which JSON reads back as the lone surrogate that it was
    data = _PREFIX.pack(len(payload), zlib.crc32(payload)) + payload
    return data.ljust(layout.round_up(len(data), layout.CELL) + layout.CELL, b"\0")
