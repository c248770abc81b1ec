"""The form of the file of totals: nothing that is not whole is taken for it."""

import zlib

import pytest

from hvd.daemon.kept.form import VERSION, Kept, decode, encode
from hvd.errors import TotalsUnusable

KEPT: Kept = {
    "instance": "shop",
    "hvd": "0.2.0",
    "written_ns": 3,
    "since_ns": 1,
    "counted_ns": 2,
    "heads": [3, 2, 1, 0],
    "lost": [],
    "bounds": {"durations": [10, 20]},
    "families": {"exits": {"labels": ["kind"], "cells": 1, "buckets": [], "series": [(["\udce9\n"], [0, 2**62])]}},
    "history": {"columns": ["p50"], "bounds": [10], "points": [(1, [0.5], [1, 2])]},
}  # type: ignore[typeddict-item]


def test_what_was_encoded_is_decoded() -> None:
    """Label values of any kind, and numbers of any size; its first line says what it is."""
    data = encode(KEPT)
    assert data.startswith(b"hvd totals 1 ")
    assert encode(decode(data)) == data
    assert decode(data)["families"]["exits"]["series"] == [[["\udce9\n"], [0, 2**62]]]


def test_what_is_damaged_is_refused() -> None:
    """Each cut, and each changed byte; another form, newer than this version; what is no JSON."""
    data = encode(KEPT)
    for end in range(len(data)):
        with pytest.raises(TotalsUnusable):
            decode(data[:end])
        with pytest.raises(TotalsUnusable):
            decode(data[:end] + bytes([data[end] ^ 1]) + data[end + 1 :])
    with pytest.raises(TotalsUnusable, match=f"has format {VERSION + 1}, this hvd reads {VERSION}"):
        decode(data.replace(b"totals 1", b"totals %d" % (VERSION + 1), 1))
    for body in (b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(TotalsUnusable, match="no JSON"):
            decode(b"hvd totals %d %d %08x\n" % (VERSION, len(body), zlib.crc32(body)) + body)
