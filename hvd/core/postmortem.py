"""Post-mortems: what the last fifty processes that died at work were doing. In the block, written by masters."""

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.journal import HEAD_BYTES, post_mortems_of

SHOWN_REQUESTS = 128
"""Requests that one entry lists at most; fewer where their paths are long, or take six bytes a character in JSON."""

_CAPACITY = layout.POST_MORTEM_BYTES - HEAD_BYTES


def write(block: Block, about: Mapping[str, Any], requests: Sequence[Mapping[str, Any]]) -> None:
    """Append an entry: `about` (time, pid, how it ended), and the requests. The oldest entry gives way.

    Where there is no room for all, the lists in the requests lose their last items, the longest ones first, and then,
    from the last request on, all; then the last requests are left out. `requests_left_out` says how many of those in
    `about["aborted"]` are not listed.
    """
    data = _encode(_fitting(about, requests))
    with block.locked():
        post_mortems_of(block).append(data)


def _fitting(about: Mapping[str, Any], requests: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    all_of_them = max(len(requests), about.get("aborted", 0))
    room = _CAPACITY - len(_encode({**about, "requests": [], "requests_left_out": all_of_them}))
    listed = [dict(request) for request in requests[:SHOWN_REQUESTS]]
    longest = max(
        (len(value) for request in listed for value in request.values() if isinstance(value, list)), default=0
    )
    sizes = [*map(_size, listed)]
    while sum(sizes) > room and longest > 1:
        longest = longest * 3 // 4
        listed = [_cut(request, longest) for request in listed]
        sizes = [*map(_size, listed)]
    for index in reversed(range(len(listed))):
        if sum(sizes) > room:
            listed[index] = _cut(listed[index], 0)
            sizes[index] = _size(listed[index])
    listed = listed[: bisect_right(list(accumulate(sizes)), room)]
    return {**about, "requests": listed, "requests_left_out": all_of_them - len(listed)}


def _size(request: Mapping[str, Any]) -> int:
    """The bytes that it takes, with a comma."""
    return len(_encode(request)) + 1


def _cut(request: Mapping[str, Any], longest: int) -> dict[str, Any]:
    return {name: value[:longest] if isinstance(value, list) else value for name, value in request.items()}


def _encode(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def read(block: Block) -> list[dict[str, Any]]:
    """The entries, newest first."""
    return [json.loads(record.data) for record in reversed(post_mortems_of(block).read())]
