"""The spans that lie in the block, and the running one: what was counted since. Any process reads them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hvd.core.baseline import Baseline, read_baseline
from hvd.core.block import Block
from hvd.core.journal import spans_of
from hvd.core.totals import Heads, Totals
from hvd.metrics.companion_pages import ProcessSample
from hvd.metrics.spans import SpanRecord, decode_span
from hvd.read.requests import RequestSums, sum_requests
from hvd.read.spans import series_since, total_of
from hvd.read.worker_spans import worker_looks


@dataclass(frozen=True)
class Beginning:
    """Where a span begins: the cells of then, and the sums of all requests until then."""

    baseline: Baseline
    requests: RequestSums

    def seconds(self, totals: Totals) -> float:
        """From then until the totals were read."""
        return (totals.monotonic_ns - self.baseline.monotonic_ns) / 1e9


def begin_at(totals: Totals, requests: RequestSums) -> Beginning:
    """A span that begins with these totals, and their sums."""
    return Beginning(Baseline(totals.time_ns, totals.monotonic_ns, totals.heads.errors, totals.cells), requests)


def begin_after(baseline: Baseline, totals: Totals) -> Beginning:
    """A span that begins where the record of that baseline ends; where there is no record, with the daemon."""
    if not baseline.monotonic_ns:  # of a block in which nobody has recorded anything yet
        baseline = baseline._replace(monotonic_ns=totals.started_monotonic_ns)
    missing = totals.cells.nbytes - baseline.cells.nbytes  # series are appended, so the others had counted nothing
    cells = memoryview(bytes(baseline.cells) + bytes(max(0, missing))).cast("q")
    then = replace(
        totals, cells=cells, monotonic_ns=baseline.monotonic_ns, heads=Heads(errors=baseline.errors), slots=()
    )
    return Beginning(baseline, sum_requests(then))


def figures_since(
    beginning: Beginning, totals: Totals, requests: RequestSums, busy_ratio: float | None = None
) -> SpanRecord:
    """The span from there on, as far as it concerns all requests together; `requests` are the sums of `totals`."""
    since = requests.since(beginning.requests)
    return SpanRecord(
        totals.time_ns - (totals.monotonic_ns - beginning.baseline.monotonic_ns),
        totals.time_ns,
        total_of(since),
        since.client_errors,
        since.server_errors,
        busy_ratio=busy_ratio,
    )


def span_since(
    beginning: Beginning,
    totals: Totals,
    requests: RequestSums,
    processes: Sequence[ProcessSample] = (),
    busy_ratio: float | None = None,
) -> SpanRecord:
    """The span from there on, with all its series, and the workers as they are at its end."""
    return replace(
        figures_since(beginning, totals, requests, busy_ratio),
        series=series_since(totals, beginning.baseline.cells),
        workers=worker_looks(totals, processes),
    )


def read_spans(block: Block, after: int = 0) -> list[tuple[int, SpanRecord]]:
    """The records of later sequences, each with its own, the oldest first."""
    records = ((record.sequence, decode_span(record.data)) for record in spans_of(block).read(after))
    return [(sequence, record) for sequence, record in records if record]


def read_until_now(block: Block, read_totals: Callable[[], Totals]) -> tuple[list[SpanRecord], Totals]:
    """All records and the running span, the oldest first; and the totals that it ends with, which are read last, so
    that it does not end before it begins.
    """
    records = read_spans(block)
    baseline = read_baseline(block, records[-1][0] if records else 0)
    totals = read_totals()
    spans = [record for _, record in records]
    if baseline is not None:
        beginning = begin_after(baseline, totals)
        spans.append(span_since(beginning, totals, sum_requests(totals)))
    return spans, totals


def span_of_all(totals: Totals) -> SpanRecord:
    """All that was counted since the totals began, as one span."""
    requests = sum_requests(totals)
    return SpanRecord(
        totals.time_ns - round(totals.counted_for * 1e9),
        totals.time_ns,
        total_of(requests),
        requests.client_errors,
        requests.server_errors,
        series_since(totals, memoryview(b"").cast("q")),
    )
