"""The text of /metrics: escaping, order, formats, what is left out."""

import math
from dataclasses import replace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from hvd.core.catalogue import OVERFLOW
from hvd.core.own.definition import Definition
from hvd.core.totals import Heads, Totals
from hvd.export.exposition import Exposition
from hvd.export.own import OwnExposition, Style
from hvd.metrics.bounds import SHOWN
from hvd.metrics.companion_pages import JOB_DURATIONS, AggregatorPage, JobsPage
from tests.support.prometheus import check_metrics
from tests.unit.figures import make_figures, make_jobs, make_page, make_sample, make_totals, timed
from tests.unit.own_figures import make_family, make_own, random_metrics

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
MS = 10**6


def render(totals: Totals, page: AggregatorPage | None = None, *, openmetrics: bool = False) -> str:
    return Exposition().render(make_figures(totals, page), Style(openmetrics))


def samples(text: str, *, openmetrics: bool = False) -> Samples:
    """All samples, read with the official parser, which unescapes the labels."""
    families = parse_openmetrics(text) if openmetrics else parse_text(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def http(method: str, route: str, status: str) -> frozenset[tuple[str, str]]:
    return frozenset({("method", method), ("route", route), ("status", status)})


@pytest.mark.parametrize("openmetrics", [False, True])
@pytest.mark.parametrize(
    "route",
    [
        *('say "hi"', "back\\slash", "ends in one\\", "two\nlines", '\\n is no newline, \\" no quote'),
        *("100 %, %s and %d", "a{b}=c,d", "{", "}", "grüße, 你好", ""),
    ],
)
def test_any_label_value_survives(route: str, openmetrics: bool) -> None:
    """Quotes, backslashes, newlines, percent signs, braces: the official parsers read back what was counted."""
    totals = make_totals({("http", "GET", route, "200"): timed(3 * MS, 4 * MS)})
    found = samples(render(totals, openmetrics=openmetrics), openmetrics=openmetrics)
    assert found["hvd_http_requests_total", http("GET", route, "200")] == 2
    assert found["hvd_http_request_duration_seconds_count", http("GET", route, "200")] == 2
    assert found["hvd_http_request_duration_seconds_sum", http("GET", route, "200")] == pytest.approx(0.007)


def test_quotes_backslashes_and_newlines_are_escaped_as_the_format_says() -> None:
    """The very bytes, since a parser of one's own making could share a mistake."""
    totals = make_totals({("http", "GET", 'a"b\\c\nd', "200"): timed(MS)})
    assert 'hvd_http_requests_total{method="GET",route="a\\"b\\\\c\\nd",status="200"} 1\n' in render(totals)


def test_buckets_are_cumulative_and_exact() -> None:
    """A duration on a bound is below it (le), one above it is not; +Inf has them all."""
    totals = make_totals({("http", "GET", "/a", "200"): timed(SHOWN[0], SHOWN[0] + 1, 20 * 10**9)})
    found = samples(render(totals))
    buckets = {
        float(dict(labels)["le"]): value
        for (name, labels), value in found.items()
        if name == "hvd_http_request_duration_seconds_bucket"
    }
    assert sorted(buckets) == [*(bound / 1e9 for bound in SHOWN), math.inf]
    assert buckets[1e-4] == 1
    assert buckets[2.5e-4] == 2
    assert buckets[10.0] == 2
    assert buckets[math.inf] == 3


def test_a_response_in_progress_counts_but_has_no_duration() -> None:
    """The histogram begins when the first response is complete."""
    text = render(make_totals({("http", "GET", "/a", "200"): timed(responses=1)}))
    assert samples(text)["hvd_http_requests_total", http("GET", "/a", "200")] == 1
    assert "hvd_http_request_duration_seconds_bucket" not in text


def test_series_that_never_counted_are_left_out() -> None:
    """The overflow series, there from the start, shows once something fell into it; then it is counted, too."""
    overflow = ("http", OVERFLOW, OVERFLOW, OVERFLOW)
    family = frozenset({("family", "http")})
    unused = samples(render(make_totals({overflow: timed()})))
    assert not [name for name, _ in unused if name == "hvd_http_requests_total"]
    assert unused["hvd_series_overflow_total", family] == 0
    used = samples(render(make_totals({overflow: timed(MS, MS, MS)})))
    assert used["hvd_http_requests_total", http(OVERFLOW, OVERFLOW, OVERFLOW)] == 3
    assert used["hvd_series_overflow_total", family] == 3
    assert used["hvd_series", family] == 1
    assert used["hvd_series_limit", family] == 64


def test_counters_without_labels_begin_at_zero() -> None:
    """They are there before anything was counted, so that a rate can be taken of the first count."""
    assert samples(render(make_totals({})))["hvd_websocket_connections_total", frozenset()] == 0
    assert samples(render(make_totals({("ws_connected",): [7]})))["hvd_websocket_connections_total", frozenset()] == 7


def test_usual_causes_begin_at_zero() -> None:
    """So increase() sees the first crash; another cause is a series of its own, once it has counted."""
    totals = make_totals({("exits", "worker", "SIGSEGV"): [2], ("exits", "worker", "SIGUSR1"): [1]})
    text = render(totals)
    found = samples(text)

    def exits(kind: str, cause: str) -> float | None:
        return found.get(("hvd_process_exits_total", frozenset({("kind", kind), ("cause", cause)})))

    assert (exits("worker", "SIGSEGV"), exits("worker", "SIGUSR1")) == (2, 1)
    assert (exits("worker", "SIGKILL"), exits("aggregator", "timeout"), exits("job_runner", "exit 3")) == (0, 0, 0)
    assert exits("aggregator", "SIGUSR1") is None
    assert text.count('hvd_process_exits_total{kind="worker",cause="SIGSEGV"}') == 1
    for name, label, value in (
        ("hvd_http_requests_aborted_total", "cause", "exception"),
        ("hvd_websocket_disconnections_total", "reason", "too_slow"),
        ("hvd_websocket_handoffs_refused_total", "reason", "503"),
    ):
        assert found[name, frozenset({(label, value)})] == 0


def test_apdex_can_be_asked_for() -> None:
    """0.3 s is a bound, and its count exact."""
    totals = make_totals({("http", "GET", "/a", "200"): timed(300 * MS, 300 * MS + 1)})
    assert 'le="0.3"} 1\n' in render(totals)


def test_heads_and_times_are_shown() -> None:
    """The proof of the request counts, and when the daemon started."""
    totals = make_totals({}, Heads(started=10, finished=6, aborted=1, errors=2, in_flight=3), seconds=50)
    found = samples(Exposition().render(make_figures(totals, aggregator_up=False)))
    assert found["hvd_http_requests_started_total", frozenset()] == 10
    assert found["hvd_http_requests_finished_total", frozenset()] == 6
    assert found["hvd_http_requests_in_flight", frozenset()] == 3
    assert found["hvd_uptime_seconds", frozenset()] == 50
    assert found["hvd_start_time_seconds", frozenset()] == 1_769_200_150
    assert found["hvd_aggregator_up", frozenset()] == 0


def test_what_only_the_aggregator_knows_is_left_out_without_it() -> None:
    """No zero that looks like a measurement, and no process that may be gone."""
    text = render(make_totals({}))
    for name in ("hvd_process_", "hvd_cpu_usage", "hvd_memory_usage", "hvd_tasks", "hvd_websocket_clients"):
        assert not [
            line for line in text.splitlines() if line.startswith(name) and not line.startswith("hvd_process_exits")
        ]


def test_processes_are_shown_one_by_one() -> None:
    """Each with kind and slot; how many of each kind; together, in base units; without what can't be known."""
    worker = make_sample("worker", 12, slot=9, threads=9, proportional=None)
    observed = make_page(make_sample("master", 10, slot=0), make_sample("worker", 11), worker)
    found = samples(render(make_totals({("cpu", "worker", "9"): [2_250_000_000]}), observed))
    place = frozenset({("kind", "worker"), ("slot", "9")})
    assert found["hvd_process_threads", place] == 9
    assert found["hvd_process_cpu_seconds_total", place] == 2.25
    assert ("hvd_process_proportional_memory_bytes", place) not in found
    assert found["hvd_process_proportional_memory_bytes", frozenset({("kind", "master"), ("slot", "0")})] == 20_000_000
    assert found["hvd_memory_usage_age_seconds", frozenset()] == 3
    assert found["hvd_processes", frozenset({("kind", "worker")})] == 2
    assert found["hvd_cpu_usage_ratio", frozenset()] == 0.125
    assert found["hvd_memory_usage_bytes", frozenset()] == 40_000_000
    assert found["hvd_observed_age_seconds", frozenset()] == 1


@pytest.mark.parametrize("openmetrics", [False, True])
def test_each_metric_is_one_block_of_lines(openmetrics: bool) -> None:
    """Both formats ask that a metric's lines follow each other, its HELP and TYPE first and only once."""
    totals = make_totals(
        {("http", "GET", f"/{i}", "200"): timed(MS * i) for i in range(1, 5)} | {("tick", "read"): timed(MS)}
    )
    figures = make_figures(totals, make_page(make_sample("worker", 1)), JOBS)
    lines = Exposition().render(figures, Style(openmetrics)).splitlines()
    heads = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads))
    current = ""
    for line in lines:
        if line.startswith("# HELP"):
            current = line.split()[2]
        elif line != "# EOF":
            assert (line.split()[2] if line.startswith("#") else line).startswith(current), line
    assert [at for at, line in enumerate(lines, 1) if line == "# EOF"] == [len(lines)] * openmetrics


def test_openmetrics_names_families_without_the_suffix_of_their_samples() -> None:
    """TYPE hvd_http_requests, sample hvd_http_requests_total; the text format has the sample's name in both."""
    totals = make_totals({("http", "GET", "/", "200"): timed(MS)})
    openmetrics, text = render(totals, openmetrics=True), render(totals)
    assert "# TYPE hvd_http_requests counter\n" in openmetrics
    assert "# TYPE hvd_build info\n" in openmetrics
    assert "# UNIT hvd_uptime_seconds seconds\n" in openmetrics
    assert "# TYPE hvd_http_requests_total counter\n" in text
    assert "# TYPE hvd_build_info gauge\n" in text
    assert "# UNIT" not in text


def test_templates_are_kept_without_mixing_series_up() -> None:
    """The second rendering, which uses what the first one kept, shows the second's numbers."""
    exposition = Exposition()

    def shown(count: int) -> Samples:
        totals = make_totals(
            {("http", "GET", "/a", "200"): timed(*[MS] * count), ("http", "GET", "/b", "200"): timed(MS)}
        )
        return samples(exposition.render(make_figures(totals)))

    for count in (2, 5):
        found = shown(count)
        assert found["hvd_http_requests_total", http("GET", "/a", "200")] == count
        assert found["hvd_http_request_duration_seconds_count", http("GET", "/a", "200")] == count
        assert found["hvd_http_requests_total", http("GET", "/b", "200")] == 1


JOBS = make_jobs(
    open=[["convert", "running", 2], ['odd"kind', "pending", 5]],
    ends=[["convert", "completed", 3, 999, 999.0]],
    own=[
        ["convert", "completed", 1, 3, 0.75],
        ["convert", "completed", 3, 4, 12.5],
        ["convert", "completed", len(JOB_DURATIONS), 1, 100_000.0],
        ["convert", "cancelled", -1, 9, 0.0],
        ["convert", "cancelled", 0, 1, 0.0625],
    ],
)
"""As the runner publishes them."""


def of(kind: str, status: str, **more: str) -> frozenset[tuple[str, str]]:
    return frozenset({"kind": kind, "status": status, **more}.items())


def with_jobs(*, runner_up: bool = True, openmetrics: bool = False, jobs: JobsPage | None = JOBS) -> str:
    totals = make_totals({("http", "GET", "/", "200"): timed(MS)})
    figures = make_figures(totals, make_page(make_sample("worker", 1)), jobs, job_runner_up=runner_up)
    return Exposition().render(figures, Style(openmetrics))


@pytest.mark.parametrize("openmetrics", [False, True])
def test_own_metrics_follow(openmetrics: bool, caplog: pytest.LogCaptureFixture) -> None:
    """All but one that has a name of hvd's: it is counted as a conflict, beside those of processes that disagree."""
    both = random_metrics(2)
    taken = make_family(Definition("hvd_workers", "gauge", "Mine."), {(): 7.0})
    other = make_family(Definition("elsewhere", "gauge", "Of another registry.", registry="-"), {(): 7.0})
    own = make_own(taken, other, *both.families, conflicts={"orders": 2}, sizes={"orders": 3}, overflowed={"orders": 1})
    figures = replace(make_figures(make_totals({}), None), own=own, own_limit=50)
    exposition = Exposition()
    text = exposition.render(figures, Style(openmetrics))
    assert exposition.render(figures, Style(openmetrics)) == text
    assert [record.args for record in caplog.records] == [("hvd_workers",)], "it is said once"
    found = samples(text, openmetrics=openmetrics)
    assert {labels: value for (name, labels), value in found.items() if name == "hvd_family_conflicts_total"} == {
        frozenset({("family", "orders")}): 2,
        frozenset({("family", "hvd_workers")}): 1,
    }
    assert found["hvd_workers", frozenset()] != 7
    assert found["hvd_own_series", frozenset({("family", "orders")})] == 3
    assert found["hvd_own_series_limit", frozenset()] == 50
    assert found["hvd_own_series_overflow_total", frozenset({("family", "orders")})] == 1
    end = "".join(OwnExposition().render(both.families, Style(openmetrics)))
    assert text.endswith(f"{end}# EOF\n" if openmetrics else end)


@pytest.mark.parametrize("openmetrics", [False, True])
def test_jobs_are_shown_by_kind_and_status(openmetrics: bool) -> None:
    """How many there are, and how many this daemon has ended: another daemon on the same queue shows its own."""
    found = samples(with_jobs(openmetrics=openmetrics), openmetrics=openmetrics)
    assert found["hvd_jobs", of("convert", "running")] == 2
    assert found["hvd_jobs", of('odd"kind', "pending")] == 5
    assert found["hvd_jobs_total", of("convert", "completed")] == 8
    assert found["hvd_jobs_total", of("convert", "cancelled")] == 10
    assert len([name for name, _ in found if name == "hvd_jobs_total"]) == 2


@pytest.mark.parametrize("openmetrics", [False, True])
def test_durations_of_jobs_are_a_histogram_of_what_ran(openmetrics: bool) -> None:
    """Cumulative, +Inf the same as the count; a job that never ran had no duration."""
    found = samples(with_jobs(openmetrics=openmetrics), openmetrics=openmetrics)
    completed = [
        found["hvd_job_duration_seconds_bucket", of("convert", "completed", le=bound)]
        for bound in (*map(str, JOB_DURATIONS), "+Inf")
    ]
    assert completed == [0, 3, 3, *[7] * (len(JOB_DURATIONS) - 3), 8]
    assert found["hvd_job_duration_seconds_count", of("convert", "completed")] == 8
    assert found["hvd_job_duration_seconds_sum", of("convert", "completed")] == 100_013.25
    assert found["hvd_job_duration_seconds_count", of("convert", "cancelled")] == 1
    assert found["hvd_job_duration_seconds_bucket", of("convert", "cancelled", le="0.1")] == 1


def test_whether_the_job_runner_works_is_shown() -> None:
    """Its figures stay while it is away, as the last that are known."""
    assert samples(with_jobs())["hvd_job_runner_up", frozenset()] == 1
    away = samples(with_jobs(runner_up=False))
    assert away["hvd_job_runner_up", frozenset()] == 0
    assert away["hvd_jobs", of("convert", "running")] == 2


def test_without_jobs_nothing_is_shown_of_them() -> None:
    """No zero that looks like a measurement; a runner without figures shows that it is there."""
    assert "hvd_job" not in with_jobs(jobs=None)
    found = samples(with_jobs(jobs=make_jobs(trouble="disk full"), runner_up=False))
    assert {name for name, _ in found if name.startswith("hvd_job")} == {"hvd_job_runner_up"}


def test_declared_kinds_are_there_from_the_start() -> None:
    """With every status; a kind that is declared no more is shown as long as it has jobs."""
    page = make_jobs(open=[["old", "pending", 2]], own=[["plain", "failed", 0, 2, 0.1]], oldest_pending_seconds=4.5)
    figures = replace(make_figures(make_totals({}), None, page), job_kinds=("plain", "convert"))
    found = samples(Exposition().render(figures))

    def by_labels(name: str) -> dict[tuple[str, str], float]:
        return {
            (dict(labels)["kind"], dict(labels)["status"]): value
            for (one, labels), value in found.items()
            if one == name
        }

    ended = {(kind, status): 0.0 for kind in ("plain", "convert") for status in ("completed", "failed", "cancelled")}
    assert by_labels("hvd_jobs_total") == ended | {("plain", "failed"): 2}
    open_jobs = {(kind, status): 0.0 for kind in ("plain", "convert") for status in ("pending", "running")}
    assert by_labels("hvd_jobs") == open_jobs | {("old", "pending"): 2}
    waited = (figures.totals.monotonic_ns - page["read_ns"]) / 1e9
    assert found["hvd_oldest_pending_job_seconds", frozenset()] == pytest.approx(4.5 + waited)
    unread = replace(figures, jobs=make_jobs(trouble="disk full"))
    assert not [name for name, _ in samples(Exposition().render(unread)) if name.startswith("hvd_jobs")]


def test_no_pending_job_has_no_age() -> None:
    """However long ago that was read."""
    assert samples(with_jobs())["hvd_oldest_pending_job_seconds", frozenset()] == 0


def test_promtool_finds_nothing_wrong_with_jobs() -> None:
    """Neither in the format nor in names and units."""
    checked = check_metrics(with_jobs().encode())
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
