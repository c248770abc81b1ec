"""procrastinate's worker for bench/jobs.py: do-nothing jobs of the program `true`, as many at once as hvd runs.

`python bench/rival_jobs.py URL CONCURRENCY`. The task `asyncio` waits for its program in the
worker's event loop, `thread` in one of its threads: bench/jobs.py takes the faster one.
"""

import asyncio
import subprocess
import sys

import procrastinate

PROGRAM = "true"


def app_of(connector: procrastinate.BaseConnector) -> procrastinate.App:
    """The two tasks, on that database."""
    app = procrastinate.App(connector=connector)

    @app.task(name="asyncio")
    async def in_loop() -> None:
        process = await asyncio.create_subprocess_exec(PROGRAM, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        assert await process.wait() == 0

    @app.task(name="thread")
    def in_thread() -> None:
        subprocess.run([PROGRAM], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)

    return app


async def work(url: str, concurrency: int) -> None:
    """Until SIGTERM."""
    app = app_of(procrastinate.PsycopgConnector(conninfo=url, max_size=concurrency + 2))
    async with app.open_async():
        await app.run_worker_async(concurrency=concurrency)


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], int(sys.argv[2])))
