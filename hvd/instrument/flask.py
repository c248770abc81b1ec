"""Route templates of Flask apps, blueprints included: `/blog/<int:id>`."""

from contextlib import suppress
from typing import Any

from hvd.instrument.reports import UNMATCHED, report_failure, report_route, report_template


def listen(ctx: Any) -> None:
    """Have Flask report what it matches; `ctx` is the module flask.ctx.

    `match_request` is there to be overridden (Flask 3.1.3: of RequestContext; in versions that have no such class, of
    AppContext).
    """
    context = getattr(ctx, "RequestContext", None) or ctx.AppContext
    match_request = context.match_request

    def match_and_report(self: Any) -> None:
        match_request(self)
        request = self.request
        rule = request.url_rule or _rule_of_others(self.url_adapter, request.routing_exception)
        if rule is None:
            report_route(request.environ, UNMATCHED)
        else:
            report_template(request.environ, rule.rule)

    context.match_request = match_and_report


def listen_to_failures(app: Any) -> None:
    """Have Flask report exceptions that it answers with 500; `app` is the module flask.app."""

    def note(sender: Any, exception: Any, **_: Any) -> None:
        report_failure(app.request.environ, exception)

    app.got_request_exception.connect(note, weak=False)


def _rule_of_others(adapter: Any, error: Any) -> Any:
    """The rule that matches the path with another method than the request's (405), or None."""
    with suppress(Exception):  # werkzeug may have a redirect for it
        for method in getattr(error, "valid_methods", None) or ():
            return adapter.match(method=method, return_rule=True)[0]
    return None
