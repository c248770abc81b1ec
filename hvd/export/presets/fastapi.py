"""prometheus-fastapi-instrumentator 8, as it is without arguments, and its gauge of requests in progress."""

from hvd.export.presets.copied import (
    METHOD,
    Key,
    durations,
    in_progress,
    is_matched,
    responses,
    sizes,
    status_class,
)


def _handler(key: Key) -> str:
    return key.route if is_matched(key) else "none"


_HIGH = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 7.5),
    *(10.0, 30.0, 60.0),
)

METRICS = (
    responses(
        "http_requests_total",
        "Total number of requests by method, status and handler.",
        {"handler": _handler, "method": METHOD, "status": status_class},
    ),
    sizes("http_request_size_bytes", "Content length of incoming requests by handler.", 0, {"handler": _handler}),
    sizes("http_response_size_bytes", "Content length of outgoing responses by handler.", 1, {"handler": _handler}),
    durations(
        "http_request_duration_highr_seconds", "Latency with many buckets but no API specific labels.", {}, _HIGH
    ),
    durations(
        "http_request_duration_seconds",
        "Latency with only few buckets by handler.",
        {"handler": _handler, "method": METHOD},
        (0.1, 0.5, 1.0),
    ),
    in_progress("http_requests_inprogress", "Number of HTTP requests in progress.", {}),
)
