"""Post-mortems: what the last fifty processes that died at work were doing. In the block, written by masters."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hvd.core import layout
from hvd.core.block import Block

SHOWN_REQUESTS = 16
"""Requests that one entry lists at most; fewer where their paths take six bytes a character in JSON."""

_CAPACITY = layout.POST_MORTEM_BYTES - layout.CELL


def write(block: Block, about: Mapping[str, Any], requests: Sequence[Mapping[str, Any]]) -> None:
    """Append an entry: `about` (time, pid, how it ended), and the requests. The oldest entry gives way.

    Where there is no room for all, the lists in the requests lose their last items, the longest one first; then
    requests are left out.
    """
    listed = [dict(request) for request in requests[:SHOWN_REQUESTS]]
    while len(data := json.dumps({**about, "requests": listed}, separators=(",", ":")).encode()) > _CAPACITY:
        if not _shorten_longest(listed):
            listed.pop()
    with block.locked():
        number = block.cells[layout.H_POST_MORTEMS]
        start = _start(block, number)
        block.cells[start // layout.CELL] = 0
        block.raw[start + layout.CELL : start + layout.CELL + len(data)] = data
        block.cells[start // layout.CELL] = len(data)
        block.cells[layout.H_POST_MORTEMS] = number + 1


def _shorten_longest(requests: Sequence[dict[str, Any]]) -> bool:
    """-> whether there was a list that could lose items."""
    lists = [
        (len(value), request, name)
        for request in requests
        for name, value in request.items()
        if isinstance(value, list)
    ]
    length, request, name = max(lists, key=lambda one: one[0], default=(0, {}, ""))
    if length:
        request[name] = request[name][: length * 3 // 4]
    return length > 0


def read(block: Block) -> list[dict[str, Any]]:
    """The entries, newest first."""
    newest = block.cells[layout.H_POST_MORTEMS]
    entries = []
    for number in range(newest - 1, max(-1, newest - 1 - layout.POST_MORTEMS), -1):
        start = _start(block, number)
        length = block.cells[start // layout.CELL]
        try:
            entries.append(json.loads(bytes(block.raw[start + layout.CELL : start + layout.CELL + length])))
        except ValueError:
            continue  # being overwritten just now
    return entries


def _start(block: Block, number: int) -> int:
    return block.layout.post_mortems + number % layout.POST_MORTEMS * layout.POST_MORTEM_BYTES
