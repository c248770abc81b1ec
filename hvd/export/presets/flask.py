"""prometheus-flask-exporter 0.23. Its `path` has the rule here, as with its `group_by="url_rule"`: never a raw path."""

from hvd.export.presets.copied import METHOD, ROUTE, STATUS, durations, exceptions, responses

METRICS = (
    durations(
        "flask_http_request_duration_seconds",
        "Flask HTTP request duration in seconds",
        {"method": METHOD, "path": ROUTE, "status": STATUS},
    ),
    responses("flask_http_request_total", "Total number of HTTP requests", {"method": METHOD, "status": STATUS}),
    exceptions(
        "flask_http_request_exceptions_total",
        "Total number of HTTP requests which resulted in an exception",
        {"method": METHOD, "status": lambda key: "500"},
    ),
)
