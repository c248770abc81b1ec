"""starlette_exporter 0.24, as it is without arguments: what no route has matched is left out."""

from hvd.export.presets.copied import METHOD, ROUTE, STATUS, always, durations, in_progress, is_matched, responses

_APP = {"app_name": always("starlette")}
_LABELS = {"method": METHOD, "path": ROUTE, "status_code": STATUS, **_APP}

METRICS = (
    responses("starlette_requests_total", "Total HTTP requests", _LABELS, is_matched),
    durations("starlette_request_duration_seconds", "HTTP request duration, in seconds", _LABELS, keep=is_matched),
    in_progress(
        "starlette_requests_in_progress", "Total HTTP requests currently in progress", {"method": METHOD, **_APP}
    ),
)
