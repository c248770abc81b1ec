"""django-prometheus 2, its metrics of requests and responses. hvd knows no transport: it is always "http"."""

from hvd.export.presets.copied import (
    METHOD,
    STATUS,
    TYPE,
    Key,
    always,
    durations,
    exceptions,
    is_matched,
    responses,
    sizes,
    total,
    view,
)

_LATENCY = (0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 25.0, 50.0, 75.0)
_POWERS = (0, *(2**power for power in range(30)))


def _method(key: Key) -> str:
    return "<invalid method>" if key.method == "(other)" else key.method


METRICS = (
    total(
        "django_http_requests_before_middlewares_total",
        "Total count of requests before middlewares run.",
        lambda figures: figures.totals.heads.started,
    ),
    responses("django_http_responses_before_middlewares_total", "Total count of responses before middlewares run.", {}),
    durations(
        "django_http_requests_latency_including_middlewares_seconds",
        "Histogram of requests processing time (including middleware processing time).",
        {},
        _LATENCY,
    ),
    durations(
        "django_http_requests_latency_seconds_by_view_method",
        "Histogram of request processing time labelled by view.",
        {"view": view, "method": METHOD},
        _LATENCY,
    ),
    responses("django_http_requests_total_by_method_total", "Count of requests by method.", {"method": _method}),
    responses(
        "django_http_requests_total_by_transport_total",
        "Count of requests by transport.",
        {"transport": always("http")},
    ),
    responses(
        "django_http_requests_total_by_view_transport_method_total",
        "Count of requests by view, transport, method.",
        {"view": view, "transport": always("http"), "method": _method},
        is_matched,
    ),
    sizes("django_http_requests_body_total_bytes", "Histogram of requests by body size.", 0, {}, _POWERS),
    sizes("django_http_responses_body_total_bytes", "Histogram of responses by body size.", 1, {}, _POWERS),
    responses("django_http_responses_total_by_status_total", "Count of responses by status.", {"status": STATUS}),
    responses(
        "django_http_responses_total_by_status_view_method_total",
        "Count of responses by status, view, method.",
        {"status": STATUS, "view": view, "method": _method},
    ),
    exceptions("django_http_exceptions_total_by_type_total", "Count of exceptions by object type.", {"type": TYPE}),
    exceptions("django_http_exceptions_total_by_view_total", "Count of exceptions by view.", {"view": view}),
)
