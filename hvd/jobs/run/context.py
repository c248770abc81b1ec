"""What the parts of the job runner share, and how they use the database without holding up the runner's loop."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hvd.jobs import transcript
from hvd.jobs.database.queue import Queue
from hvd.jobs.database.threads import DatabaseThreads, Task, unanswered
from hvd.jobs.options import RunnerOptions

Result = TypeVar("Result")

RUNNER_ANSWER = 10.0  # s that the database may take for one piece of work, of a few statements


class Context:
    """The queue, the options, and `reason`, an event that is set where a turn is needed.

    For the event loop's thread. What the database does for it, one piece of work after the other, runs in a thread.
    """

    def __init__(self, queue: Queue, options: RunnerOptions) -> None:
        self.queue = queue
        self.options = options
        self.reason = asyncio.Event()
        self.outputs = Path(options.state_dir) / transcript.FOLDER
        self._threads = DatabaseThreads(1)

    async def ask(self, work: Callable[[], Result]) -> Result:
        """What `work` returns or raises. Raises JobsError where the database has no answer in time."""
        result: Result = await self.result_of(self.start(work))
        return result

    def start(self, work: Callable[[], Any]) -> Task:
        """Have `work` done meanwhile. Raises JobsError where the database is stuck with work before it."""
        return self._threads.start(work)

    async def result_of(self, task: Task) -> Any:
        """What it returns or raises. Raises JobsError where the database has no answer in time."""
        future = asyncio.wrap_future(task.future)
        await asyncio.wait([future], timeout=RUNNER_ANSWER)
        if not future.done():
            self._threads.give_up(task)
            future.add_done_callback(asyncio.Future.exception)  # which nobody else looks at
            raise unanswered(RUNNER_ANSWER)
        return future.result()

    def close(self) -> None:
        """End the thread after its work."""
        self._threads.close()
