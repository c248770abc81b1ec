"""Where everything lies in the block. Pure arithmetic: no I/O, no clock.

    header       one page of int64 cells (H_*), written by masters under the mutation lock
    slot table   SLOT_CELLS cells a slot (S_*)
    post-mortems POST_MORTEMS records of POST_MORTEM_BYTES, a ring: see journal.py
    pages        one page of PAGE_BYTES for each companion slot: what only that companion knows (pages.py)
    history      HISTORY_POINTS points of HISTORY_RECORD_CELLS cells, see history.py
    events       EVENTS records of EVENT_BYTES, a ring too
    spans        SPANS records of SPAN_BYTES, a ring too
    catalogue    records, see catalogue.py
    entries      slots x entries of ENTRY_CELLS cells (E_*): requests in progress of the rows that have many at once
    own          the app's own metrics (own/): their catalogue, notes, pins, and one row of own_row_cells cells for each
                 slot, and one more for what was removed; each row starts with its marks
    baselines    two copies of row_cells cells: the sums of all rows at the end of the newest span, see baseline.py
    rows         slots x rows x row_cells; each row starts with HEAD_CELLS cells (R_*), then comes the run of what is
                 lost (LOST), then the series' runs

Every cell is 8-byte aligned, native byte order, int64. A row begins on a page of its own, so that two threads
never write one cache line, and a row that is never used costs no memory (the segment is sparse).

Processes of two versions share a block during an upgrade, and a version may find the block of another one. A new FORMAT
is needed where that can't go well: another place or meaning of a cell named here, another form of a record, a page or a
point, other buckets of durations. None is needed for a new metric family, a new kind of slot, a free cell that gets a
meaning, or more in a catalogue record: a reader that doesn't know it skips it. Other cells or labels for a metric need
a new family key (catalogue.py).

In every format these stay where they are, so that any version can say what the block of another one has counted: the
header cells up to H_SERIES, H_STARTED_WALL and H_ROW_CELLS; the rows, which fill the file to its end; R_STARTED to
R_ERRORS in their heads.
"""

import zlib
from functools import cached_property
from typing import NamedTuple

CELL = 8
PAGE = 4096
MAGIC = int.from_bytes(b"HVDBLOCK", "little")
FORMAT = 7

# Header cells.
H_MAGIC, H_FORMAT, H_SLOTS, H_ROWS, H_SERIES, H_CHECKSUM = range(6)
H_STARTED_WALL, H_STARTED_MONO = 6, 7  # ns; when the daemon started, kept through reloads and upgrades
H_MADE_MONO = 13  # ns; since when the totals count, kept through a takeover too; later by the time between two daemons
H_CATALOGUE_BYTES, H_CELLS_USED = 8, 9  # how much of the catalogue, and of every row, is in use
H_MASTERS = 11  # two cells: pids of the masters alive (two during an upgrade)
MASTERS = 2
H_ROW_CELLS = 14  # 0 in format 2
H_MISSING = 15  # two cells, one for each of H_MASTERS: how many workers it should have and can't start
H_LISTENERS = 17  # eight cells: the inode numbers of the sockets at which the workers listen; 0 where there are fewer
LISTENERS = 8
H_ENTRIES = 25  # entries a slot
H_BEATS = 26  # BEAT_CELLS for each of H_MASTERS: whose they are (pid), when its loop turned, since when it is ready
BEAT_CELLS = 3
H_SINCE_WALL = 48  # Unix time in ns; when the totals were 0, before all restarts; 0 in blocks of earlier versions
H_OWN_SERIES = 49  # for how many series of own metrics there is room
H_OWN_BYTES, H_OWN_USED = 50, 51  # how much of the own metrics' catalogue, and of each of their rows, is in use
H_OWN_RESERVED = 52  # so many cells of each row in use have memory
H_OWN_REMOVALS = 53  # how often series of own metrics were removed, or came back
H_NOTES = 54  # notes ever written
H_PINS = 60  # a bit for each pin that is in use, see own/pins.py
H_ENDS = 72  # ENDS cells: how processes ended since the daemon started: planned, unplanned, before they could serve
ENDS = 3
H_BASELINES = 80  # BASELINE_CELLS for each of two copies of the sums of all rows, see baseline.py
BASELINE_CELLS = 5
H_EPOCH = 64  # a cache line of its own: each reader of own metrics adds 1, each writer stores it into marks

# Slot table cells.
SLOT_CELLS = 32
S_TAKEN, S_KIND, S_PID, S_PID_START, S_MASTER, S_MASTER_START = range(6)
S_TAKEN_NS, S_HEARTBEAT_NS = 6, 7
S_BASE = 8  # four cells: the slot's started, finished, aborted, errors when it was taken
S_ROWS, S_SHARED = 12, 13  # how many rows from the first on were ever used, and whether the last, shared one was
# Of the process that has the slot: 0 again when it is taken.
S_THREADS = 14  # how much it can have in progress at once; 0 until it is ready to serve, -n once it takes nothing new
S_STACK_WANTED_NS, S_STACK_TAKEN_NS = 15, 16  # when its stacks were asked for, and when its master took them last
S_CLIENTS = 17  # eight cells: how many clients it waits for, by what it waits for; the worker says what each means
CLIENTS = 8
S_ENTRIES = 25  # how many of its entries, from the first on, were ever used
S_LOOP_NS, S_LOOP_LAG_NS = 26, 27  # of an event loop: when it last turned (monotonic), and how late it was then at most
S_OWN = S_THREADS, S_LOOP_LAG_NS + 1  # from, to
S_BASE_SERVER_ERRORS = 28  # one more of S_BASE

KIND_WORKER, KIND_AGGREGATOR, KIND_JOB_RUNNER, KIND_ADMIN_SERVER, KIND_JOINED = 1, 2, 3, 4, 5
KIND_MASTER, KIND_EXPORTER = 6, 7
KIND_NAMES = {
    KIND_WORKER: "worker",
    KIND_AGGREGATOR: "aggregator",
    KIND_JOB_RUNNER: "job_runner",
    KIND_ADMIN_SERVER: "admin_server",
    KIND_JOINED: "joined",
    KIND_MASTER: "master",
    KIND_EXPORTER: "exporter",
}
COMPANION_SLOTS = 16  # the first ones; two masters during an upgrade, with four companions each, and some to spare

# Row head cells. The order in which a thread stores them is what lets a reader settle a read that falls between
# two stores, see rows.py and totals.py.
HEAD_CELLS = 16
R_STARTED, R_FINISHED, R_ABORTED, R_ERRORS, R_BEGIN_NS, R_BUSY = range(6)
R_THREAD = 6  # threading.get_ident() of the thread that has the row; 0 in the last one, which requests share
R_SERVER_ERRORS = 7  # of R_ERRORS; of a process of an earlier version, and of totals that were kept over a stop, 0
R_TEXT, TEXT_BYTES = 8, 64  # what the caller says of the request in progress
# Entry cells: begin time (monotonic ns, 0 while it is free; negative while it begins or ends, see hotentry.py), thread,
# text. Stored text first, begin time last.
ENTRY_CELLS = 10
E_BEGIN_NS, E_THREAD, E_TEXT = range(3)
LOST = HEAD_CELLS  # a run that every row has: what finds no cells of its own is counted there, see catalogue.py

POST_MORTEMS, POST_MORTEM_BYTES = 50, 8192
PAGE_BYTES = 256 * 1024
HISTORY_POINTS, HISTORY_RECORD_CELLS = 450, 40
EVENTS, EVENT_BYTES = 256, 1024
SPANS, SPAN_BYTES = 96, 16 * 1024

PLAIN_SERIES = 1024  # one-cell counters, beside the timed series
TIMED_SPARE = 320  # runs beside those of requests: what is lost, the overflow series, hvd's own timings, and measures
OWN_SERIES_CELLS = 32  # of a row, for each series of own metrics: a counter takes 2, a histogram some 17
PAGE_CELLS = PAGE // CELL  # a mark stands for so many cells
NOTES, NOTE_BYTES = 4096, 1024
PINS, PIN_BYTES = 16, 3 * PAGE
RECORD_BYTES = 192  # a catalogue record's usual size at most; longer label values leave room for fewer


def round_up(size: int, unit: int) -> int:
    """The smallest multiple of unit that is not below size."""
    return (size + unit - 1) // unit * unit


class _Shape(NamedTuple):
    slots: int
    rows: int
    series: int
    run_cells: int
    entries: int = 64
    own_series: int = 0


class Layout(_Shape):
    """Byte offsets of a block for so many slots, rows and entries a slot, and timed series of run_cells cells each."""

    slot_table = PAGE  # the same in every layout

    @cached_property
    def checksum(self) -> int:
        """Tells a header that was written whole, by the same format, from any other bytes."""
        shape = self.slots, self.rows, self.series, self.run_cells, self.entries, self.own_series
        numbers = (MAGIC, FORMAT, *shape, HEAD_CELLS, SLOT_CELLS, ENTRY_CELLS)
        return zlib.crc32(repr(numbers).encode())

    @cached_property
    def row_cells(self) -> int:
        cells = HEAD_CELLS + PLAIN_SERIES + (self.series + TIMED_SPARE) * self.run_cells
        return round_up(cells * CELL, PAGE) // CELL

    @property
    def first_run(self) -> int:
        """The cell, counted from a row's head, of the first run that a series may own."""
        return LOST + self.run_cells

    @cached_property
    def post_mortems(self) -> int:
        return self.slot_table + round_up(self.slots * SLOT_CELLS * CELL, PAGE)

    @cached_property
    def pages(self) -> int:
        return self.post_mortems + POST_MORTEMS * POST_MORTEM_BYTES

    @cached_property
    def history(self) -> int:
        return self.pages + COMPANION_SLOTS * PAGE_BYTES

    @cached_property
    def events(self) -> int:
        return self.history + round_up(HISTORY_POINTS * HISTORY_RECORD_CELLS * CELL, PAGE)

    @cached_property
    def spans(self) -> int:
        return self.events + EVENTS * EVENT_BYTES

    @cached_property
    def catalogue(self) -> int:
        return self.spans + SPANS * SPAN_BYTES

    @cached_property
    def catalogue_bytes(self) -> int:
        return round_up((self.series + TIMED_SPARE + PLAIN_SERIES) * RECORD_BYTES, PAGE)

    @cached_property
    def first_entry(self) -> int:
        return self.catalogue + self.catalogue_bytes

    @cached_property
    def own_catalogue(self) -> int:
        return self.first_entry + round_up(self.slots * self.entries * ENTRY_CELLS * CELL, PAGE)

    @cached_property
    def own_catalogue_bytes(self) -> int:
        return round_up(self.own_series * RECORD_BYTES, PAGE)

    @cached_property
    def note_marks(self) -> int:
        """A byte for each note: another one after each time that it was written."""
        return self.own_catalogue + self.own_catalogue_bytes

    @cached_property
    def notes(self) -> int:
        return self.note_marks + (round_up(NOTES, PAGE) if self.own_series else 0)

    @cached_property
    def pins(self) -> int:
        return self.notes + (NOTES * NOTE_BYTES if self.own_series else 0)

    @cached_property
    def first_own_row(self) -> int:
        return self.pins + (PINS * PIN_BYTES if self.own_series else 0)

    @cached_property
    def own_marks(self) -> int:
        """Cells at the start of each row of own metrics: a mark for each page of the row."""
        pages = round_up(self.own_series * OWN_SERIES_CELLS, PAGE_CELLS) // PAGE_CELLS
        return round_up(pages + pages // 500 + 2, PAGE_CELLS)  # the marks lie in pages, too: one in 512

    @cached_property
    def own_row_cells(self) -> int:
        cells = self.own_marks + self.own_series * OWN_SERIES_CELLS
        return round_up(cells, PAGE_CELLS) if self.own_series else 0

    @cached_property
    def baselines(self) -> int:
        return self.first_own_row + (self.slots + 1) * self.own_row_cells * CELL

    @cached_property
    def first_row(self) -> int:
        return self.baselines + 2 * self.row_cells * CELL

    @cached_property
    def size(self) -> int:
        return self.first_row + self.slots * self.rows * self.row_cells * CELL

    def slot_cell(self, slot: int) -> int:
        """Index, in cells, of a slot's record in the slot table."""
        return self.slot_table // CELL + slot * SLOT_CELLS

    def entry_cell(self, slot: int, entry: int) -> int:
        """Index, in cells, of an entry of a slot."""
        return self.first_entry // CELL + (slot * self.entries + entry) * ENTRY_CELLS

    def own_row_cell(self, slot: int) -> int:
        """Index, in cells, of a slot's row of own metrics; of the slot number `slots`, of what was removed."""
        return self.first_own_row // CELL + slot * self.own_row_cells

    def row_cell(self, slot: int, row: int) -> int:
        """Index, in cells, of a row's head."""
        return self.first_row // CELL + (slot * self.rows + row) * self.row_cells
