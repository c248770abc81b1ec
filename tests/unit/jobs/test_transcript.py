"""The file of what a job printed: bounded, its beginning and its end, whoever reads it meanwhile."""

import os
import threading
from pathlib import Path

import pytest

from hvd.jobs.ids import new_id
from hvd.jobs.transcript import Extent, OvertakenError, Recorder, Transcript, older_than, remove

ID = "019ab6b1-0000-7000-8000-000000000001"
LIMIT = 16 * 1024  # bytes, the least that may be set
FIRST, RING = LIMIT // 4, LIMIT - LIMIT // 4


def numbered(start: int, end: int) -> bytes:
    """Bytes of which each stretch is like no other: eight for each number."""
    whole = b"".join(b"%07d\n" % number for number in range(start // 8, -(-end // 8)))
    return whole[start % 8 :][: end - start]


def recorded(folder: Path, *sizes: int, attempt: int = 1, limit: int = LIMIT) -> Recorder:
    """After writes of these sizes."""
    recorder, start = Recorder(folder, ID, attempt, limit), 0
    for size in sizes:
        recorder.write(numbered(start, start + size))
        start += size
    return recorder


def opened(folder: Path) -> Transcript:
    found = Transcript.open(folder, ID)
    assert found
    return found


def read(found: Transcript, start: int, end: int) -> bytes:
    return b"".join(found.read(start, end))


@pytest.mark.parametrize("piece", [1000, 4096, 100_000])
def test_what_fits_is_kept_whole(tmp_path: Path, piece: int) -> None:
    """In the order in which it came, in pieces of any size; the file is its owner's only."""
    size = FIRST + RING - RING // 4
    sizes = [piece] * (size // piece) + [size % piece]
    recorded(tmp_path / "output", *sizes).close()
    with opened(tmp_path / "output") as found:
        extent = found.look()
        assert extent == Extent(FIRST, FIRST, size, 1, 0)
        assert read(found, 0, size) == numbered(0, size)
        assert found.end(100) == numbered(size - 100, size)
    assert (tmp_path / "output" / ID).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "output").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("size", [FIRST + RING, FIRST + RING + 1, 100_000, 1_000_000])
def test_of_more_the_beginning_and_the_end_are_kept(tmp_path: Path, size: int) -> None:
    """Each byte by its number; the file is no larger than the limit and a line."""
    recorded(tmp_path, *[777] * (size // 777), size % 777).close()
    with opened(tmp_path) as found:
        extent = found.look()
        assert (extent.first, extent.total) == (FIRST, size)
        assert RING // 2 <= extent.total - extent.last <= RING
        assert read(found, 0, extent.first) == numbered(0, extent.first)
        assert read(found, extent.last, size) == numbered(extent.last, size)
        assert extent.run_from(0) == (0, FIRST)
        assert extent.run_from(FIRST) == extent.run_from(extent.last) == (extent.last, size)
        assert extent.run_from(size - 1) == (size - 1, size)
        assert extent.run_from(size + 5) == (size, size)
    assert (tmp_path / ID).stat().st_size <= LIMIT + 200


def test_attempts_follow_each_other(tmp_path: Path) -> None:
    """With a line between them; the end is the last one's. A changed limit is for other files."""
    recorded(tmp_path, 80).close()
    recorded(tmp_path, 16, attempt=2, limit=2 * LIMIT).close()
    with opened(tmp_path) as found:
        extent = found.look()
        assert read(found, 0, extent.total) == numbered(0, 80) + b"\n[hvd: attempt 2]\n" + numbered(0, 16)
        assert (extent.attempt, found.end(1000)) == (2, numbered(0, 16))


def test_a_reader_is_never_given_what_is_written_over(tmp_path: Path) -> None:
    """It is told that it was overtaken, and looks again."""
    recorder = recorded(tmp_path, 60_000)
    with opened(tmp_path) as found:
        extent = found.look()
        pieces = found.read(extent.last, extent.total, at_once=1000)
        assert next(pieces) == numbered(extent.last, extent.last + 1000)
        recorder.write(numbered(60_000, 80_000))
        with pytest.raises(OvertakenError):
            next(pieces)
        recorder.close()


def test_readers_and_the_writer_run_side_by_side(tmp_path: Path) -> None:
    """What is read is right, at every moment."""
    recorder, is_over = recorded(tmp_path, 8), threading.Event()

    def write() -> None:
        for start in range(8, 2_000_000, 1600):
            recorder.write(numbered(start, start + 1600))
        is_over.set()

    writer = threading.Thread(target=write)
    writer.start()
    reads = 0
    with opened(tmp_path) as found:
        while not is_over.is_set() or not reads:
            extent = found.look()
            start, end = extent.run_from(max(0, extent.total - 3000))
            try:
                assert read(found, start, end) == numbered(start, end)
            except OvertakenError:
                continue
            reads += 1
        writer.join()
        assert found.end(3000) == numbered(found.look().total - 3000, found.look().total)
    recorder.close()


def test_what_is_no_such_file_holds_nothing(tmp_path: Path) -> None:
    """Whatever it holds: a machine that crashed may have left anything."""
    assert Transcript.open(tmp_path, ID) is None
    for data in (b"", b"hvd output", b"x" * 1000):
        (tmp_path / ID).write_bytes(data)
        with opened(tmp_path) as found:
            assert found.look() == Extent(0, 0, 0, 0, 0)
            assert found.end(100) == b""
    recorded(tmp_path, 16).close()
    with opened(tmp_path) as found:
        assert read(found, 0, 16) == numbered(0, 16)


def test_a_full_disk_is_an_error_of_the_write(tmp_path: Path) -> None:
    """And of no other; nothing is left open."""
    recorder = Recorder(tmp_path, ID, 1, LIMIT)
    (tmp_path / ID).symlink_to("/dev/full")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="No space"):
        recorder.write(b"x")
    recorder.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_files_go_with_their_jobs(tmp_path: Path) -> None:
    """Whether there is one or not; what isn't a job's is let be."""
    ids = sorted(new_id() for _ in range(3))
    for name in (*ids[:2], "notes"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000, 1000))
    assert sorted(older_than(tmp_path, 1001)) == ids[:2]
    assert older_than(tmp_path, 1000) == older_than(tmp_path / "none", 1001) == []
    remove(tmp_path, ids[1:])
    assert sorted(path.name for path in tmp_path.iterdir()) == [ids[0], "notes"]
