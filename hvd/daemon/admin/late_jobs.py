"""The job service of the admin server: loaded by the first request that needs it.

It brings SQLAlchemy, as much memory as all the rest of this process; and most daemons' admin servers are never asked
about jobs.
"""

import socket
import threading
from typing import TYPE_CHECKING, Any, cast

from hvd.settings.table import Settings

if TYPE_CHECKING:
    from hvd.jobs.service import JobService


class LateJobs:
    """Makes the job service when more than its kinds is needed. Thread-safe."""

    def __init__(self, settings: Settings, wake_fd: int, writers: socket.socket) -> None:
        self.kinds = settings.job_kinds
        self._settings = settings
        self._channels = wake_fd, writers
        self._making = threading.Lock()
        self._made: JobService | None = None

    def service(self) -> "JobService | None":
        """It, as a job service; None where no kind is declared."""
        return cast("JobService", self) if self.kinds else None

    def take(self, settings: Settings) -> None:
        """Apply other settings: later requests find their kinds and limits. Waits for nothing."""
        self.kinds, self._settings = settings.job_kinds, settings
        if self._made:
            self._made.take(settings)

    def __getattr__(self, name: str) -> Any:
        with self._making:
            if self._made is None:
                from hvd.jobs.service import JobService

                self._made = JobService(self._settings, *self._channels)
                self._made.take(self._settings)  # of now: `take` may have come meanwhile
            return getattr(self._made, name)
