"""Pages: read whole or not at all."""

import random
import signal

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.pages import CAPACITY, Page
from tests.support.waiting import until
from tests.unit.core.support import Watched, at_store, ended, fork, forked, kill


def patterned(number: int) -> bytes:
    """Bytes that show whether they are of one piece: the same number again and again, as long as it says."""
    return number.to_bytes(4, "little") * (number % 5000 + 1)


def test_a_page_is_empty_at_first(block: Block) -> None:
    """What nobody published is nothing."""
    assert Page(block, 0).read() == b""


@pytest.mark.parametrize("size", [0, 1, 7, 4096, CAPACITY])
def test_what_was_written_is_read(block: Block, size: int) -> None:
    """By any other view of the page, up to its capacity; then nothing, once that is what was written."""
    data = random.Random(size).randbytes(size)
    page = Page(block, 3)
    page.write(data)
    assert Page(block, 3).read() == data
    page.write(b"")
    assert Page(block, 3).read() == b""


def test_what_does_not_fit_is_refused(block: Block) -> None:
    """And the page keeps what it had."""
    page = Page(block, 0)
    page.write(b"before")
    with pytest.raises(ValueError, match="don't fit"):
        page.write(bytes(CAPACITY + 1))
    assert page.read() == b"before"


def test_pages_of_slots_are_apart(block: Block) -> None:
    """Full pages of all companion slots, each with its own bytes, and nothing beside them."""
    for slot in range(layout.COMPANION_SLOTS):
        Page(block, slot).write(bytes([slot + 1]) * CAPACITY)
    for slot in range(layout.COMPANION_SLOTS):
        assert Page(block, slot).read() == bytes([slot + 1]) * CAPACITY
    assert not any(block.raw[block.layout.catalogue : block.layout.first_row])


def test_a_reader_never_gets_half_a_page(block: Block) -> None:
    """While another process writes pages of all lengths as fast as it can."""

    def write() -> None:
        page, number = Page(block, 1), 0
        while True:
            number += 1
            page.write(patterned(number))

    page, newest = Page(block, 1), 0
    with forked(write):
        until(page.read, "the first page is written")
        for _ in range(2000):
            data = page.read()
            if data:
                number = int.from_bytes(data[:4], "little")
                assert data == patterned(number)
                assert number >= newest
                newest = number
    assert newest > 1


@pytest.mark.parametrize("stores", [1, 2, 3, 4])
def test_a_writer_killed_in_the_middle_leaves_nothing_half(block: Block, stores: int) -> None:
    """Readers get nothing, not a mixture, and the next writer's page is whole."""
    Page(block, 2).write(b"old" * 100)

    def write_partly() -> None:
        page, stored = Page(block, 2), at_store(stores, kill)
        page._cells = Watched(page._cells, stored)  # type: ignore[assignment]
        page._raw = Watched(page._raw, stored)  # type: ignore[assignment]
        page.write(b"new" * 50)

    assert ended(fork(write_partly)) == -signal.SIGKILL
    assert Page(block, 2).read() == b""
    Page(block, 2).write(b"next")
    assert Page(block, 2).read() == b"next"
