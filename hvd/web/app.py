"""The Falcon app: the endpoints of the table, and how errors are answered."""

import falcon

from hvd.errors import JobsError
from hvd.web import jobs, problem
from hvd.web.admin import AdminCounting
from hvd.web.endpoints import endpoints_of
from hvd.web.gate import Gate
from hvd.web.here import Here


def create_app(here: Here, *, admin: bool = False) -> falcon.App[falcon.Request, falcon.Response]:
    """hvd's endpoints; with `admin` those too that only the admin address has.

    `here` is asked at each request, so it may be filled later.
    """
    gate = Gate(here, admin=admin)
    app = falcon.App(middleware=[AdminCounting(here), gate] if admin else [gate])
    app.set_error_serializer(problem.serialize)
    app.add_error_handler(Exception, problem.unexpected)
    app.add_error_handler(JobsError, jobs.Failures())
    for endpoint in endpoints_of(admin=admin):
        resource = endpoint.resource(here)
        gate.guard(endpoint, resource)
        app.add_route(endpoint.path, resource)
    return app
