"""Route templates of Django apps, `include` and namespaces included: `/polls/<int:pk>/`."""

import functools
import sys
from typing import Any

from hvd.instrument.reports import UNMATCHED, report_failure, report_route, report_template, report_view

_END = r"\Z"


def listen(base: Any) -> None:
    """Have Django report what it resolves; `base` is the module django.core.handlers.base.

    No public API: `BaseHandler.resolve_request` was read in Django 5.2.19. WSGI and ASGI handlers call it once a
    request.
    """
    resolve_request = base.BaseHandler.resolve_request

    def resolve_and_report(self: Any, request: Any) -> Any:
        place = _place_of(request)
        try:
            match = resolve_request(self, request)
        except Exception:
            report_route(place, UNMATCHED)
            raise
        report_template(place, template_of(match.route))
        if match.view_name:
            report_view(place, match.view_name)
        return match

    base.BaseHandler.resolve_request = resolve_and_report


def listen_to_failures(signals: Any) -> None:
    """Have Django report exceptions that it answers with 500; `signals` is the module django.core.signals."""

    def note(request: Any = None, **_: Any) -> None:
        error = sys.exc_info()[1]
        if request is not None and error is not None:
            report_failure(_place_of(request), error)

    signals.got_request_exception.connect(note, weak=False)


def _place_of(request: Any) -> Any:
    return getattr(request, "environ", None) or request.scope


@functools.lru_cache(1000)  # there are as many as patterns
def template_of(route: str) -> str:
    """Django's route as a template; of a regular expression (`re_path`) without its anchors."""
    return f"/{route.removesuffix('$').removesuffix(_END).removeprefix('^').removeprefix('/')}"
