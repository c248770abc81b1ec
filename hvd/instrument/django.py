"""Route templates of Django apps, `include` and namespaces included: `/polls/<int:pk>/`."""

import functools
from typing import Any

from hvd.instrument.told import UNMATCHED, tell, tell_below

_END = r"\Z"


def listen(base: Any) -> None:
    """Have Django tell what it resolves; `base` is the module django.core.handlers.base.

    No public API: `BaseHandler.resolve_request` was read in Django 5.2.19. WSGI and ASGI handlers call it once a
    request.
    """
    resolve_request = base.BaseHandler.resolve_request

    def resolve_and_tell(self: Any, request: Any) -> Any:
        try:
            match = resolve_request(self, request)
        except Exception:
            tell(getattr(request, "environ", None) or request.scope, UNMATCHED)
            raise
        tell_below(getattr(request, "environ", None) or request.scope, template_of(match.route))
        return match

    base.BaseHandler.resolve_request = resolve_and_tell


@functools.lru_cache(1000)  # there are as many as patterns
def template_of(route: str) -> str:
    """Django's route as a template; of a regular expression (`re_path`) without its anchors."""
    return f"/{route.removesuffix('$').removesuffix(_END).removeprefix('^').removeprefix('/')}"
