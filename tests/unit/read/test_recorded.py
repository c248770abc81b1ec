"""The spans in a block, and the running one."""

from hvd.core import layout
from hvd.core.baseline import write_baseline
from hvd.core.block import Block
from hvd.core.journal import spans_of
from hvd.core.rows import Rows
from hvd.core.totals import Reader
from hvd.metrics.spans import SpanRecord, encode_span
from hvd.metrics.table import FAMILIES, error_of
from hvd.read.recorded import begin_at, read_spans, read_until_now, span_of_all, span_since
from hvd.read.requests import sum_requests
from tests.unit.core.support import own_rows


def count(rows: Rows, status: str, number: int) -> None:
    for _ in range(number):
        rows.count_response(("GET", "/a", status), error_of(status))


def test_the_running_span_begins_where_the_newest_record_ends(block: Block) -> None:
    """In a new block with the daemon; so each response is in one span, whichever process looks."""
    rows, reader = own_rows(block), Reader(block, FAMILIES.all)
    count(rows, "200", 3)
    count(rows, "503", 2)
    (running,), totals = read_until_now(block, reader.read)
    assert (running.total.responses, running.client_errors, running.server_errors) == (5, 0, 2)
    assert totals.time_ns - running.to_ns == 0
    assert running.to_ns - running.from_ns == totals.monotonic_ns - block.cells[layout.H_STARTED_MONO]
    with block.locked():
        write_baseline(block, 1, begin_at(totals, sum_requests(totals)).baseline)
        spans_of(block).append(encode_span(running, spans_of(block).room))
    count(rows, "404", 4)
    rows.count_response(("POST", "/new", "200"), False)
    (first, second), later = read_until_now(block, reader.read)
    assert first.total == running.total
    assert {labels: sums.responses for labels, sums in second.series.items()} == {
        ("GET", "/a", "404"): 4,
        ("POST", "/new", "200"): 1,
    }
    assert (second.total.responses, second.client_errors, second.server_errors) == (5, 4, 0)
    assert second.to_ns - second.from_ns == later.monotonic_ns - totals.monotonic_ns


def test_without_a_beginning_there_is_no_running_span(block: Block) -> None:
    """Where there was no memory to write one."""
    reader, record = Reader(block, FAMILIES.all), SpanRecord(1, 2, workers=[])
    with block.locked():
        spans_of(block).append(encode_span(record, spans_of(block).room))
    assert read_until_now(block, reader.read)[0] == [record]
    assert read_spans(block, after=1) == []


def test_all_that_was_counted_is_a_span(block: Block) -> None:
    """With the same figures as one that begins where nothing was counted."""
    rows, reader = own_rows(block), Reader(block, FAMILIES.all)
    before = reader.read()
    count(rows, "200", 3)
    count(rows, "404", 1)
    totals = reader.read()
    since = span_since(begin_at(before, sum_requests(before)), totals, sum_requests(totals))
    of_all = span_of_all(totals)
    assert (of_all.total, of_all.series, of_all.client_errors) == (since.total, since.series, 1)
