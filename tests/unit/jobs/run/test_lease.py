"""The lease: renewed in time; where that fails, what runs is ended."""

import threading
from pathlib import Path

import pytest

from hvd.jobs.database.connection import Database
from tests.support.loop import eventually, in_loop
from tests.unit.jobs.run.running import PATIENT, WAIT, scene, subreaper, url

__all__ = ["subreaper", "url"]


@in_loop
async def test_the_lease_is_renewed_in_time(database: Database, tmp_path: Path) -> None:
    """However little there is to do."""
    async with scene(database, tmp_path, "true", lease=0.3) as stage:
        await stage.rest(0.0)
        assert stage.pause <= 0.1
        renewed = stage.runner.lease.renewed_at
        await eventually(lambda: stage.runner.lease.renewed_at > renewed)


@in_loop
async def test_one_that_has_lost_its_lease_ends_what_it_runs(database: Database, tmp_path: Path) -> None:
    """Another has the jobs by now: no grace, and no end of theirs is noted. It goes on with the next ones."""
    async with scene(database, tmp_path, f"trap '' TERM; {WAIT}", lease=0.3) as stage:
        (job_id,) = stage.submit()
        await eventually(lambda: stage.lines("starts"))
        (attempt,) = stage.runner.pool.running.values()
        with database.writing() as connection:  # what another machine does that finds it gone
            connection.exec_driver_sql("DELETE FROM hvd_runners")
            connection.exec_driver_sql("UPDATE hvd_jobs SET status = 'failed', runner = NULL, error = 'lost'")
        await eventually(lambda: attempt.exit_code is not None)
        assert attempt.exit_code == -9
        assert attempt.as_end().error == "the lease of its runner could not be renewed"
        await eventually(lambda: not stage.runner.pool.ends)
        assert stage.job(job_id).error == "lost"
        (tmp_path / "go").touch()
        await stage.wait(stage.submit()[0], "completed")


@in_loop
async def test_the_lease_is_watched_while_a_turn_hangs(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a network that has lost the database nothing comes back: what runs is ended before another starts it."""
    async with scene(database, tmp_path, f"trap '' TERM; {WAIT}", lease=1.0) as stage:
        stage.submit()
        await eventually(lambda: stage.lines("starts"))
        (attempt,) = stage.runner.pool.running.values()
        monkeypatch.setattr(stage.queue.leases, "has_rivals", True)
        going_on = threading.Event()
        monkeypatch.setattr(stage.queue.leases, "renew", lambda: going_on.wait(PATIENT))
        try:
            await eventually(lambda: attempt.exit_code is not None)
        finally:
            going_on.set()
        assert attempt.exit_code == -9
        assert attempt.as_end().error == "the lease of its runner could not be renewed"
