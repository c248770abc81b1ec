"""What is shown of a counter of the block."""

from hvd.export.samples import counter_samples
from hvd.metrics.table import METRICS, Metric
from tests.unit.figures import SECOND, make_totals, timed

BY_NAME = {metric.name: metric for metric in METRICS}


def samples_of(metric: Metric, counted: dict[tuple[str, ...], list[int]]) -> dict[tuple[str, ...], float]:
    totals = make_totals(counted)
    return dict(counter_samples(metric, totals.series, totals.cells))


def test_what_has_counted_is_shown_in_the_unit_of_the_metric() -> None:
    """And 1 of an info, whatever it counts; what has not counted is left out."""
    requests = {("http", "GET", "/", "200"): timed(7, 8), ("http", "GET", "/b", "200"): timed()}
    assert samples_of(BY_NAME["hvd_http_requests_total"], requests) == {("GET", "/", "200"): 2}
    cpu = {("cpu", "worker", "8"): [SECOND // 2]}
    assert samples_of(BY_NAME["hvd_process_cpu_seconds_total"], cpu) == {("worker", "8"): 0.5}
    assert samples_of(BY_NAME["hvd_http_route_info"], {("http_views", "/", "shop.home"): [4]}) == {
        ("/", "shop.home"): 1
    }


def test_what_usually_counts_is_0_from_the_start() -> None:
    """So that its first count is an increase."""
    found = samples_of(BY_NAME["hvd_http_requests_aborted_total"], {("aborted", "SIGKILL"): [3]})
    assert (found["SIGKILL",], found["timeout",]) == (3, 0)
    assert samples_of(BY_NAME["hvd_websocket_frames_sent_total"], {}) == {(): 0}
