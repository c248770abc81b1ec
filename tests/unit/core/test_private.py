"""A block that one process has alone."""

import gc
import os
import threading

from hvd.core.private import SHAPE, private_rows
from hvd.metrics.table import FAMILIES, HTTP
from tests.unit.core.support import counts, in_threads, serve


def test_it_counts_as_any_block_does() -> None:
    """In more threads than it has rows, too."""
    rows, all_have_one = private_rows(FAMILIES), threading.Barrier(SHAPE.rows + 3)

    def work() -> None:
        rows.mine()
        all_have_one.wait(20)
        for _ in range(10):
            serve(rows.mine())

    with in_threads(*[work] * (SHAPE.rows + 3)):
        pass
    assert counts(rows.block) == {("GET", "/x", "200"): 10 * (SHAPE.rows + 3)}


def test_a_family_has_cells_for_what_finds_no_room() -> None:
    """As in a daemon's block: nothing is lost."""
    rows = private_rows(FAMILIES)
    for number in range(SHAPE.series + 3):
        serve(rows.mine(), f"/{number}")
    assert counts(rows.block)["overflow", "overflow", "overflow"] == 3
    assert sum(counts(rows.block, HTTP.key).values()) == SHAPE.series + 3


def test_it_goes_with_its_rows() -> None:
    """Its descriptors and its memory too."""
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    rows = private_rows(FAMILIES)
    serve(rows.mine())
    del rows
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
