"""Counting the admin server's own requests, apart from those of the service."""

import time

import falcon

from hvd.instrument.reports import METHODS, OTHER, UNMATCHED
from hvd.metrics.table import ADMIN
from hvd.web.here import Here

BEGAN = "hvd.admin_began"
"""environ key of when a request came to the admin server, monotonic ns; there for no other request."""


class AdminCounting:
    """Middleware of the admin server's app: each request counts with its duration, but those that the hub answers."""

    def __init__(self, here: Here) -> None:
        self._here = here

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Called by Falcon first of all."""
        req.env[BEGAN] = time.monotonic_ns()

    def process_response(self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool) -> None:
        """Called by Falcon once there is a response, whatever the request has come to."""
        if resp.status_code == 101:
            return
        method = req.method if req.method in METHODS else OTHER
        labels = method, req.uri_template or UNMATCHED, str(resp.status_code)
        self._here.parts.rows.record(ADMIN, labels, time.monotonic_ns() - req.env[BEGAN])
