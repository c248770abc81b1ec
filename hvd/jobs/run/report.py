"""What others learn from the job runner: changes of jobs, by events and the log, and counts, on the runner's page."""

import logging
import socket
import time
from collections.abc import Callable, Mapping

from hvd.errors import JobsError
from hvd.jobs import events
from hvd.jobs.job import Job
from hvd.jobs.run import schedule
from hvd.jobs.run.context import Context
from hvd.jobs.states import CANCELLED, FAILED, PENDING
from hvd.metrics.companion_pages import QueueFigures

log = logging.getLogger("hvd.jobs")


class Reporter:
    """Reports changes of jobs and publishes the counts. `is_due` where the counts may have changed since."""

    def __init__(
        self,
        context: Context,
        trouble: schedule.Trouble,
        writers: socket.socket,
        publish: Callable[[Mapping[str, object]], None],
        figures: QueueFigures | None,
    ) -> None:
        """Events go to `writers`; `figures`, if there are any, are published until others are read."""
        self.is_due = True
        self._context = context
        self._trouble = trouble
        self._writers = writers
        self._publish = publish
        self._figures = figures
        self._read_at = float("-inf")  # monotonic s
        self._undeclared: set[str] = set()  # kinds of pending jobs that the log has

    def report(self, job: Job) -> None:
        """Send an event with the job as it is now, and log it. Raises nothing."""
        events.send(self._writers, job.as_recent())
        if job.error and job.status != CANCELLED:
            then = "failed" if job.status == FAILED else f"will be tried again, attempt {job.attempt} failed"
            log.warning("job %s (%s) %s: %s", job.id, job.kind, then, job.error)
        else:
            log.debug("job %s (%s) is %s", job.id, job.kind, job.status)

    async def update(self, *, is_busy: bool) -> None:
        """Read the counts and publish them, if it is time. Raises JobsError."""
        pause = schedule.figures_pause(is_needed=self.is_due, is_busy=is_busy)
        if time.monotonic() - self._read_at < pause:
            return
        self.is_due = False
        try:
            self._figures = figures = await self._context.ask(self._context.queue.figures)
        except JobsError:
            self.is_due = True
            raise
        self._read_at = time.monotonic()
        self.publish()
        waiting = {row.kind for row in figures["open"] if row.status == PENDING}
        if undeclared := sorted(waiting - self._context.options.kinds.keys() - self._undeclared):
            self._undeclared.update(undeclared)
            log.warning("jobs of kinds that are not declared here wait: %s", ", ".join(undeclared))

    def publish(self) -> None:
        """Publish the counts that were read last, and the trouble that there is."""
        trouble = self._trouble.public
        self._publish({**self._figures, "trouble": trouble} if self._figures else {"trouble": trouble})

    def forget_undeclared(self) -> None:
        """Other kinds are declared now: the log says anew which are not."""
        self._undeclared.clear()
