"""A ring of records in the block: the newest ones, each some bytes of its writer's, which outlive their writer.

A record is three cells, its sequence number, a CRC-32 of that and of the bytes, and how many bytes there are; then the
bytes. The record of sequence n lies at place n modulo the number of places. Its sequence is 0 while it is written, and
stored last.

A writer holds the mutation lock, which ends with its holder; so no two ever write into one place. A reader takes no
lock. A record that is being written, or that a killed writer left half, has the sequence 0 or a checksum that does not
agree, and the reader passes it over.
"""

import zlib
from typing import NamedTuple

from hvd.core import layout
from hvd.core.block import Block

HEAD_BYTES = 3 * layout.CELL
_LAST = 2**62  # what claims a higher sequence is damaged


class Record(NamedTuple):
    """The bytes of a record and its sequence, which goes up by one from 1 on."""

    sequence: int
    data: bytes


class Journal:
    """The ring of `records` places of `size` bytes each, from the byte `start` of a block on. Any process reads."""

    def __init__(self, block: Block, start: int, records: int, size: int) -> None:
        self._block, self._records, self._size = block, records, size
        self._raw = block.raw[start : start + records * size]
        self._cells = self._raw.cast("q")

    @property
    def room(self) -> int:
        """Bytes that a record can have."""
        return self._size - HEAD_BYTES

    @property
    def newest(self) -> int:
        """The sequence of the newest record; 0 while there is none."""
        return max((sequence for _, sequence in self._sequences()), default=0)

    def append(self, data: bytes) -> int:
        """Write the next record, under the mutation lock, which the caller holds. -> its sequence.

        Raises ValueError for more bytes than there is `room` for.
        """
        sequence = self.newest + 1
        self.write(sequence, data)
        return sequence

    def write(self, sequence: int, data: bytes) -> None:
        """Write this very record, in the place of an older one of its sequence too; under the mutation lock.

        Raises ValueError for more bytes than there is `room` for.
        """
        if len(data) > self.room:
            raise ValueError(f"{len(data)} bytes don't fit into a record of {self.room}")
        start = sequence % self._records * self._size
        first = start // layout.CELL
        self._cells[first] = 0
        self._raw[start + HEAD_BYTES : start + HEAD_BYTES + len(data)] = data
        self._cells[first + 1], self._cells[first + 2] = _check(sequence, data), len(data)
        self._cells[first] = sequence

    def checks(self) -> dict[int, int]:
        """The checksum of each record, by sequence: it changes when a record is written anew."""
        checks = self._cells[1 :: self._size // layout.CELL].tolist()
        return {sequence: checks[place] for place, sequence in self._sequences()}

    def read(self, after: int = 0) -> list[Record]:
        """The records of later sequences than `after`, the oldest first."""
        places = sorted((sequence, place) for place, sequence in self._sequences() if sequence > after)
        loaded = ((sequence, self._load(place, sequence)) for sequence, place in places)
        return [Record(sequence, data) for sequence, data in loaded if data is not None]

    def _sequences(self) -> list[tuple[int, int]]:
        """Place and sequence of what may be a record."""
        sequences = enumerate(self._cells[:: self._size // layout.CELL].tolist())
        return [(place, n) for place, n in sequences if 0 < n < _LAST and n % self._records == place]

    def _load(self, place: int, sequence: int) -> bytes | None:
        record = bytes(self._raw[place * self._size : (place + 1) * self._size])
        number, check, length = memoryview(record).cast("q")[:3]
        data = record[HEAD_BYTES : HEAD_BYTES + length] if 0 <= length <= self.room else b""
        return data if (number, check) == (sequence, _check(sequence, data)) else None


def _check(sequence: int, data: bytes) -> int:
    return zlib.crc32(data, sequence & 0xFFFFFFFF)


def events_of(block: Block) -> Journal:
    """What happened to the daemon, see hvd/metrics/events.py."""
    return Journal(block, block.layout.events, layout.EVENTS, layout.EVENT_BYTES)


def spans_of(block: Block) -> Journal:
    """What was answered in spans of ten seconds, see hvd/metrics/spans.py."""
    return Journal(block, block.layout.spans, layout.SPANS, layout.SPAN_BYTES)


def post_mortems_of(block: Block) -> Journal:
    """What processes were doing when they died, see postmortem.py."""
    return Journal(block, block.layout.post_mortems, layout.POST_MORTEMS, layout.POST_MORTEM_BYTES)
