"""Where a process counts."""

import os
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from hvd.core.block import Block
from hvd.core.rows import Rows
from hvd.instrument import counting as module
from hvd.instrument.counting import Counting, HttpSettings
from hvd.metrics.table import SIZES
from hvd.web.here import Here
from tests.unit.core.support import counts, fork, in_threads, own_rows, serve


def settings(*exclude: str) -> Any:
    routes = {"/items/{id}": r"/items/\d+"}
    return SimpleNamespace(http_exclude=exclude, http_sizes=True, http_queue_time=False, routes=routes)


def test_it_counts_in_the_rows_that_it_was_given(block: Block) -> None:
    """The caller's row is one of them."""
    rows, counting = own_rows(block), Counting()
    counting.fill(rows, HttpSettings(sizes=False))
    assert (counting.rows, counting.local.row) == (rows, rows.mine())
    assert not counting.settings.sizes
    assert (counting.extras.rows, counting.extras.sizes) == (rows, None)
    counting.fill(rows, HttpSettings(queue_time=False))
    assert (counting.extras.sizes, counting.extras.queue) == (rows.runs[SIZES.key], None)


def test_without_a_slot_the_process_counts_alone() -> None:
    """In one block, whichever of its threads is the first to use it."""
    counting, start = Counting(), threading.Barrier(8)

    def work() -> None:
        start.wait(20)
        serve(counting.local.row)

    with in_threads(*[work] * 8):
        pass
    assert counts(counting.rows.block) == {("GET", "/x", "200"): 8}


def test_a_forked_child_does_not_count_in_its_parent_s_rows(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes must not write one row."""
    counting = Counting()
    monkeypatch.setattr(module, "counting", counting)
    counting.fill(own_rows(block))
    serve(counting.local.row)

    def child() -> None:
        counting.after_fork()
        serve(counting.local.row)
        assert counting.rows.block is not block

    assert os.waitpid(fork(child), 0)[1] == 0
    assert counts(block) == {("GET", "/x", "200"): 1}


def test_a_child_of_a_daemon_s_worker_may_join(block: Block) -> None:
    """A worker, which its master has forked before it had rows, has no need to."""
    counting = Counting()
    counting.is_in_daemon = True
    counting.after_fork()
    assert counting.is_in_daemon
    counting.fill(own_rows(block))
    counting.after_fork()
    assert not counting.is_in_daemon


def test_the_fork_itself_sees_to_that() -> None:
    """For the one that all use, and for `here`."""
    before = module.counting.rows

    def child() -> None:
        assert module.counting.rows is not before

    assert os.waitpid(fork(child), 0)[1] == 0
    assert module.counting.rows is before


def test_an_app_of_hvd_s_own_worker_meets_no_error_elsewhere() -> None:
    """Its counting falls back; what else a worker has is not there."""
    here = Here()
    assert here.local is module.counting.local
    with pytest.raises(RuntimeError, match="hooks did not run"):
        here.parts  # noqa: B018


def test_patterns_of_what_is_excluded_match_the_whole_path() -> None:
    """Any of them; none excludes nothing."""
    exclude = HttpSettings.of(settings("/static/.*", "/healthz?")).exclude
    assert exclude
    assert [bool(exclude.fullmatch(path)) for path in ("/static/a.css", "/health", "/healthy")] == [True, True, False]
    assert HttpSettings.of(settings()).exclude is None
    assert [(route, pattern.pattern) for route, pattern in HttpSettings.of(settings()).routes] == [
        ("/items/{id}", r"/items/\d+")
    ]


def test_rows_of_another_kind_can_come_first(block: Block) -> None:
    """`hvd.join` gives them."""
    counting, rows = Counting(), own_rows(block)
    counting.first = lambda: counting.fill(rows)
    found: Rows = counting.rows
    assert found is rows
