"""The Falcon app: which path is answered by what."""

import falcon

from hvd.errors import JobsError
from hvd.instrument.falcon import RouteName
from hvd.web import jobs, output, problem
from hvd.web.here import Here
from hvd.web.resources import Health, History, Index, Metrics, Snapshot, Status
from hvd.web.static_files import Static
from hvd.web.upgrade import Upgrade


def create_app(here: Here) -> falcon.App[falcon.Request, falcon.Response]:
    """hvd's endpoints. `here` is asked at each request, so it may be filled later."""
    app = falcon.App(middleware=[RouteName()])
    app.set_error_serializer(problem.serialize)
    app.add_error_handler(Exception, problem.unexpected)
    app.add_error_handler(JobsError, jobs.Failures())
    app.add_route("/", Index(here))
    app.add_route("/static/{name}", Static())
    app.add_route("/health", Health(here))
    app.add_route("/status", Status(here))
    app.add_route("/api/v1/snapshot", Snapshot(here))
    app.add_route("/api/v1/history", History(here))
    app.add_route("/metrics", Metrics(here))
    app.add_route("/ws", Upgrade(here))
    app.add_route("/jobs", jobs.Jobs(here))
    app.add_route("/jobs/kinds", jobs.Kinds(here))
    app.add_route("/jobs/submit", jobs.Submit(here))
    app.add_route("/jobs/query", jobs.Query(here))
    app.add_route("/jobs/cancel", jobs.CancelMany(here))
    app.add_route("/jobs/{job_id}", jobs.OneJob(here))
    app.add_route("/jobs/{job_id}/cancel", jobs.CancelOne(here))
    app.add_route("/jobs/{job_id}/output", output.JobOutput(here))
    return app
