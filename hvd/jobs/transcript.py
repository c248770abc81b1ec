"""The file that keeps what a job printed: of bounded size, written by the job runner, read by the workers.

A line of text (sizes, counts), then the bytes. The first quarter of the limit keeps the beginning; the rest is a ring
that keeps the end. Byte `n` of what was printed has one place for good, until the ring comes round again, so readers
speak of bytes by their number. Attempts of a job follow each other in its file. Nothing is synced: after a crash of the
machine the end may be missing.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from hvd.jobs.ids import is_id

FOLDER = "output"  # in state_dir

_HEAD = "hvd output 1 first={:020d} ring={:020d} total={:020d} attempt={:010d} begun={:020d}\n"
_HEAD_SIZE = len(_HEAD.format(0, 0, 0, 0, 0))
_NUMBER = re.compile(rb"=(\d+)")


class Extent(NamedTuple):
    """What there is of `total` bytes: those up to `first`, and those from `last` on. The attempt that prints, or
    printed last, began at byte `begun`.
    """

    first: int
    last: int
    total: int
    attempt: int
    begun: int

    def run_from(self, start: int) -> tuple[int, int]:
        """The longest run of kept bytes, as their numbers, that begins at `start`, or behind the gap that it is in."""
        if self.first < self.last:
            if start < self.first:
                return start, self.first
            start = max(start, self.last)
        return min(start, self.total), self.total


class _Places:
    """Where in the file each byte is."""

    def __init__(self, first: int, ring: int) -> None:
        self.first, self.ring = first, ring
        self.at_once = ring // 4  # bytes written before the head counts them: they overwrite the ring's oldest

    def extent(self, total: int, attempt: int, begun: int) -> Extent:
        first = min(self.first, total)
        return Extent(first, max(first, total + self.at_once - self.ring), total, attempt, begun)

    def runs(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Offset in the file, and numbers of the bytes, of each part that lies in one piece."""
        while start < end:
            place, room = start, self.first - start
            if start >= self.first:
                turned = (start - self.first) % self.ring
                place, room = self.first + turned, self.ring - turned
            size = min(room, end - start)
            yield _HEAD_SIZE + place, start, start + size
            start += size


class Recorder:
    """Writes one attempt's part of the file; `limit` bounds a new file, in bytes. One thread uses it.

    Nothing is opened before the first byte. OSError of any call: the disk is full or gone, and no more is kept.
    """

    def __init__(self, folder: Path, job_id: str, attempt: int, limit: int) -> None:
        self._path = folder / job_id
        self._attempt = attempt
        self._fd = -1
        self._places = _Places(limit // 4, limit - limit // 4)
        self._total = self._begun = 0

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._fd < 0:
            self._open()
        size = self._places.at_once
        for start in range(0, len(data), size):
            self._write(data[start : start + size])

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if head := _read_head(self._fd):
            self._places, (_, _, self._total, _, _) = head
        if self._total:
            self._write(b"\n[hvd: attempt %d]\n" % self._attempt)
        self._begun = self._total

    def _write(self, data: bytes) -> None:
        view, begin = memoryview(data), self._total
        for place, start, end in self._places.runs(begin, begin + len(data)):
            while start < end:
                written = os.pwrite(self._fd, view[start - begin : end - begin], place)
                start, place = start + written, place + written
        self._total += len(data)
        head = _HEAD.format(self._places.first, self._places.ring, self._total, self._attempt, self._begun)
        os.pwrite(self._fd, head.encode(), 0)

    def close(self) -> None:
        """Write no more."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):  # of writes before it, on a network's disk
                os.close(self._fd)
            self._fd = -1


class OvertakenError(Exception):
    """The ring came round while these bytes were read."""


class Transcript:
    """An open file, to be read. Use it as a context manager."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def open(cls, folder: Path, job_id: str) -> "Transcript | None":
        """That of the job; None if none is here. Raises OSError."""
        try:
            return cls(os.open(folder / job_id, os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            return None

    def look(self) -> Extent:
        """What there is now."""
        head = _read_head(self._fd)
        return head[1] if head else Extent(0, 0, 0, 0, 0)

    def read(self, start: int, end: int, at_once: int = 256 * 1024) -> Iterator[bytes]:
        """These bytes, all of which are kept, in pieces. Raises OvertakenError where they are no more."""
        head = _read_head(self._fd)
        if head is None:
            return
        places, _ = head
        for place, first, behind in places.runs(start, end):
            for offset in range(0, behind - first, at_once):
                data = os.pread(self._fd, min(at_once, behind - first - offset), place + offset)
                extent = self.look()
                if extent.first <= first + offset < extent.last:
                    raise OvertakenError
                yield data

    def end(self, most: int) -> bytes:
        """The last bytes of the attempt that prints, or printed last; at most so many."""
        while True:
            extent = self.look()
            start, end = extent.run_from(max(extent.begun, extent.total - most))
            with contextlib.suppress(OvertakenError):
                return b"".join(self.read(start, end))

    def __enter__(self) -> "Transcript":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Read no more."""
        os.close(self._fd)


def _read_head(fd: int) -> tuple[_Places, Extent] | None:
    """What the file's first line says; None while there is none. Read again until it is no mixture of two."""
    head, again = b"", None
    while head != again:
        head, again = os.pread(fd, _HEAD_SIZE, 0), head
    numbers = [int(text) for text in _NUMBER.findall(head)]
    if len(head) < _HEAD_SIZE or len(numbers) != 5 or not numbers[1]:
        return None
    places = _Places(*numbers[:2])
    return places, places.extent(*numbers[2:])


def remove(folder: Path, job_ids: Iterable[str]) -> None:
    """Remove these jobs' files, where there are any. Raises OSError."""
    for job_id in job_ids:
        (folder / job_id).unlink(missing_ok=True)


def older_than(folder: Path, time: float) -> list[str]:
    """Ids of the jobs whose file was written last before that time (s since the epoch)."""
    ids = []
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if is_id(entry.name) and entry.stat().st_mtime < time:
                    ids.append(entry.name)
    return ids
