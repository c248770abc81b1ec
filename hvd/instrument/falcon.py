"""Route templates of Falcon apps: `/items/{id}`, and of sinks and static routes their prefix."""

import functools
import inspect
from typing import Any

from hvd.instrument.reports import UNMATCHED, report_route, report_template


def listen(app: Any) -> None:
    """Have WSGI apps report what they match; `app` is the module falcon.app."""
    _listen(app.App, "env")


def listen_to_asgi(app: Any) -> None:
    """The same of ASGI apps; `app` is the module falcon.asgi.app."""
    _listen(app.App, "scope")


def _listen(kind: Any, place: str) -> None:
    """No public API: `_get_responder` was read in Falcon 4.4.0; the ASGI app has it from the WSGI app. A middleware had
    to be added to each app, and would not be called for sinks.
    """
    get_responder = inspect.unwrap(kind._get_responder)

    @functools.wraps(get_responder)
    def get_and_report(self: Any, req: Any) -> Any:
        match = get_responder(self, req)
        responder, _, resource, template = match
        if resource is None:
            template = _prefix_of(self, responder)
        if template is not None:
            report_template(getattr(req, place), template)
        elif resource is None:  # else an app's own router has matched, and reports no template
            report_route(getattr(req, place), UNMATCHED)
        return match

    kind._get_responder = get_and_report


def _prefix_of(app: Any, responder: Any) -> str | None:
    """The prefix of the sink or static route; a sink's is a regular expression."""
    for matcher, owner, is_sink in app._sink_and_static_routes:
        if owner is responder:
            prefix: str = matcher.pattern if is_sink else matcher._prefix
            return prefix
    return None
