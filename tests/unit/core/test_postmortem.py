"""Post-mortems in the block."""

from typing import Any

import pytest

from hvd.core import layout, postmortem
from hvd.core.block import Block


def write(block: Block, pid: int, requests: list[dict[str, Any]] | None = None) -> None:
    postmortem.write(block, {"pid": pid, "cause": "SIGKILL"}, requests or [])


def test_none_at_first(block: Block) -> None:
    """A block that nobody died in has no entries."""
    assert postmortem.read(block) == []


def test_an_entry_is_read_as_it_was_written(block: Block) -> None:
    """What it is about, and each request."""
    requests = [{"path": "/slow", "age_seconds": 1.235}, {"path": "/ü", "age_seconds": 0.0}]
    write(block, 7, requests)
    assert postmortem.read(block) == [{"pid": 7, "cause": "SIGKILL", "requests": requests, "requests_left_out": 0}]


@pytest.mark.parametrize("count", [1, 49, 50, 51, 137])
def test_the_last_fifty_are_kept_newest_first(block: Block, count: int) -> None:
    """Older ones give way."""
    for pid in range(count):
        write(block, pid)
    assert [entry["pid"] for entry in postmortem.read(block)] == list(range(count))[::-1][:50]


@pytest.mark.parametrize("text", ["x", "\x01", "ü", "�", "\\", '"'], ids=repr)
def test_an_entry_fits_its_place_whatever_the_clients_sent(block: Block, text: str) -> None:
    """Paths that JSON writes six times as long leave room for fewer requests, never for half an entry."""
    path = text * layout.TEXT_BYTES
    write(block, 1)
    write(block, 2, [{"method": "GET", "path": path, "age_seconds": 1e6}] * 40)
    write(block, 3)
    newest, entry, oldest = postmortem.read(block)
    assert (newest["pid"], entry["pid"], oldest["pid"]) == (3, 2, 1)
    assert 5 <= len(entry["requests"]) <= 40
    assert len(entry["requests"]) + entry["requests_left_out"] == 40
    assert all(request["path"] == path for request in entry["requests"])


def test_long_lists_are_shortened_before_requests_are_left_out(block: Block) -> None:
    """The longest one first, from its end on: what stands first says most."""
    stacks = [[f"{number} " + "x" * 90 for number in range(length)] for length in (30, 3, 200, 0)]
    write(block, 1, [{"path": "/x", "stack": stack} for stack in stacks])
    (entry,) = postmortem.read(block)
    kept = [request["stack"] for request in entry["requests"]]
    assert all(stack[: len(short)] == short for stack, short in zip(stacks, kept, strict=True))
    assert [len(kept[1]), len(kept[3])] == [3, 0]
    assert 20 <= len(kept[0]) <= 30
    assert 30 <= len(kept[2]) < 200
    write(block, 2, [{"path": "\x01" * 64, "stack": ["\x01" * 64] * 30}] * 40)
    assert 5 <= len(postmortem.read(block)[0]["requests"]) < 40


def test_sixty_four_requests_of_one_process_are_named(block: Block) -> None:
    """And of many more the first ones; how many are not listed is said, those too that had no entry."""
    one = {"method": "GET", "path": "/items/12345678/details", "age_seconds": 1234.567, "stack": ["x" * 80] * 5}
    write(block, 1, [one] * 64)
    (entry,) = postmortem.read(block)
    assert (len(entry["requests"]), entry["requests_left_out"]) == (64, 0)
    stacks = [len(request["stack"]) for request in entry["requests"]]
    assert stacks == sorted(stacks, reverse=True)
    assert 1 in stacks, "the first ones keep the innermost frame"
    postmortem.write(block, {"pid": 2, "aborted": 3000}, [one] * 1000)
    (entry, _) = postmortem.read(block)
    assert 64 <= len(entry["requests"]) <= postmortem.SHOWN_REQUESTS
    assert len(entry["requests"]) + entry["requests_left_out"] == 3000


def test_an_entry_half_written_is_left_out(block: Block) -> None:
    """A reader that comes while a master writes gets the others."""
    for pid in range(3):
        write(block, pid)
    start = block.layout.post_mortems + 2 * layout.POST_MORTEM_BYTES
    block.cells[start // layout.CELL] = 0
    assert [entry["pid"] for entry in postmortem.read(block)] == [2, 0]


def test_entries_stay_within_their_part(block: Block) -> None:
    """The parts before and after are as they were."""
    shape = block.layout
    before = bytes(block.raw[: shape.post_mortems])
    for pid in range(120):
        write(block, pid, [{"path": "\x7f" * 64}] * 16)
    assert postmortem.read(block)[0]["pid"] == 119
    assert bytes(block.raw[layout.PAGE : shape.post_mortems]) == before[layout.PAGE :]
    assert not any(block.raw[shape.pages : shape.pages + layout.PAGE_BYTES])
