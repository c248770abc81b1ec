"""What the log has of jobs, and which counts are published when."""

import logging
from dataclasses import replace

import pytest

from hvd.jobs.run import schedule
from hvd.jobs.states import FAILED, PENDING
from tests.support.loop import eventually, in_loop
from tests.unit.jobs.run.running import Scenes


@in_loop
async def test_the_log_has_what_failed(scene: Scenes, caplog: pytest.LogCaptureFixture) -> None:
    """And whether it will be tried again; other changes only for who debugs."""
    async with scene("true") as stage:
        job = await stage.wait(stage.submit()[0], "completed")
        with caplog.at_level(logging.DEBUG, "hvd.jobs"):
            caplog.clear()
            for status in (FAILED, PENDING):
                stage.runner.reporter.report(replace(job, status=status, error="exit status 7"))
            stage.runner.reporter.report(job)
        assert [(record.levelname, record.getMessage().replace(job.id, "ID")) for record in caplog.records] == [
            ("WARNING", "job ID (work) failed: exit status 7"),
            ("WARNING", "job ID (work) will be tried again, attempt 1 failed: exit status 7"),
            ("DEBUG", "job ID (work) is completed"),
        ]


@in_loop
async def test_the_log_names_a_kind_that_is_not_declared_once(
    scene: Scenes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Until other kinds are declared."""
    monkeypatch.setattr(schedule, "OTHERS_FIGURES_PAUSE", 0.0)
    async with scene("true") as stage:
        stage.submit("other", 2)

        async def lines(count: int) -> None:
            await eventually(lambda: caplog.text.count("not declared here wait: other") == count)
            published = len(stage.published)
            stage.runner.wake()
            await eventually(lambda: len(stage.published) > published)
            assert caplog.text.count("not declared here wait: other") == count

        await lines(1)
        stage.runner.take(stage.runner.context.options)
        await lines(2)
