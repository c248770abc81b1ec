"""The table of hvd's endpoints: the app's routes, the list at `/` and the OpenAPI document are all made from it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hvd.web import job_sets, job_views, jobs, output, resources
from hvd.web.here import Here
from hvd.web.static_files import Static
from hvd.web.upgrade import Upgrade


@dataclass(frozen=True)
class Endpoint:
    """A path, what it is for in a line, and what makes the resource that answers it.

    `admin_only` is true for what only the admin address serves, `listed` false for what nobody asks for by itself.
    """

    path: str
    about: str
    resource: Callable[[Here], object]
    admin_only: bool = False
    listed: bool = True


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("/health", "whether the daemon works", resources.Health),
    Endpoint("/status", "version, uptime, processes", resources.Status),
    Endpoint("/api/v1/snapshot", "all numbers as JSON", resources.Snapshot),
    Endpoint("/api/v1/history", "the last fifteen minutes", resources.History),
    Endpoint("/metrics", "all numbers for Prometheus", resources.Metrics),
    Endpoint("/ws", "the numbers as they change, by WebSocket", Upgrade),
    Endpoint("/jobs", "the newest jobs; ?status=, kind=, limit=, before=", jobs.Jobs),
    Endpoint("/jobs/kinds", "what kinds of job there are, and their parameters", jobs.Kinds),
    Endpoint("/jobs/submit", "POST a job, or many", jobs.Submit),
    Endpoint("/jobs/query", "these jobs: POST a list of ids, or all, status, limit; GET ?all=true", job_sets.Query),
    Endpoint("/jobs/cancel", "POST a list of ids, or all or status: cancel these jobs", job_sets.CancelMany),
    Endpoint("/jobs/progress/{job_id}", "how far one job is", job_views.JobProgress),
    Endpoint("/jobs/logs/{job_id}", "what happened to one job, and what it printed last", job_views.JobLogs),
    Endpoint("/jobs/eta/{job_id}", "when one job will be done", job_views.JobEta),
    Endpoint("/jobs/{job_id}", "one job", jobs.OneJob),
    Endpoint("/jobs/{job_id}/output", "what it printed; ?follow=1 waits for more", output.JobOutput),
    Endpoint("/jobs/{job_id}/cancel", "POST: cancel it", jobs.CancelOne),
    Endpoint("/static/{name}", "a file of the dashboard", lambda here: Static(), listed=False),
)


def endpoints_of(*, admin: bool) -> Sequence[Endpoint]:
    """Those that the admin address serves, or those that the service's does."""
    return [endpoint for endpoint in ENDPOINTS if admin or not endpoint.admin_only]
