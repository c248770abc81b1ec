"""One job as existing clients ask for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hvd.jobs.ids import new_id
from hvd.jobs.job import Job
from hvd.jobs.transcript import Recorder
from hvd.web.job_views import LOG_BYTES, LOG_LINES
from tests.unit.web.job_service import Client, FakeJobService, problem_of

VIEWS = ("progress", "eta", "logs")


class Scene:
    """A job that runs, and prints."""

    def __init__(self, service: FakeJobService, folder: Path) -> None:
        service.outputs = folder
        plain: dict[str, Any] = {"name": "disk", "params": {}, "retries": 0, "backoff": 1.0, "host": "there"}
        times = {"created": 1000.0, "updated": 1000.0, "started": 1000.0, "read_at": 1010.0}
        self.job = Job(new_id(), "convert", status="running", progress=50.0, attempt=1, **plain, **times)
        service.jobs[self.job.id] = self.job  # type: ignore[assignment]
        self.recorder = Recorder(folder, self.job.id, 1, 8 * LOG_BYTES)
        self.client = Client(service)

    def get(self, view: str, query: str = "", **headers: str) -> Any:
        return self.client.get(f"/jobs/{view}/{self.job.id}{query}", **headers)

    def messages(self) -> list[str]:
        """What /jobs/logs shows of the output."""
        logs = self.get("logs").json["logs"]
        return [entry["message"] for entry in logs if entry["source"] == "output"]


@pytest.fixture
def scene(service: FakeJobService, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(service, tmp_path)
    yield made
    made.recorder.close()


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_of_one_job(scene: Scene, view: str) -> None:
    """HEAD says the same without it; what isn't there is 404, in every view."""
    answer = scene.get(view)
    assert (answer.status_code, answer.json["job_id"], answer.json["status"]) == (200, scene.job.id, "running")
    assert answer.headers["cache-control"] == "no-store"
    head = scene.client.head(f"/jobs/{view}/{scene.job.id}")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("x", new_id(), "%00"):
        problem_of(scene.client.get(f"/jobs/{view}/{name}"), 404)
    problem_of(scene.client.get(f"/jobs/{view}"), 404)
    problem_of(Client(None).get(f"/jobs/{view}/{scene.job.id}"), 404)
    problem_of(scene.get(view, Origin="https://evil.example"), 403)


def test_half_of_a_job_leaves_as_much(scene: Scene) -> None:
    """10 s, and 10 s more."""
    assert scene.get("eta").json["eta_seconds"] == 10.0
    assert scene.get("progress").json["progress"]["percent_complete"] == 50.0


def test_logs_are_lines_or_text(scene: Scene) -> None:
    """For who wants text, all of the output; else JSON with what each line is."""
    scene.recorder.write(b"one\ntwo\r\x1b[2Jthree\nlast")
    assert scene.messages() == ["one", "\ufffd[2Jthree", "last"]
    assert scene.get("logs").json["is_complete"] is True
    text = scene.get("logs", Accept="text/plain")
    assert (text.status_code, text.text) == (200, "one\ntwo\r\x1b[2Jthree\nlast")
    assert text.headers["hvd-job-status"] == "running"
    assert "Accept" in text.headers["vary"]
    part = scene.get("logs", Accept="text/plain", Range="bytes=0-2")
    assert (part.status_code, part.text) == (206, "one")


def test_a_long_output_is_shown_from_its_end(scene: Scene) -> None:
    """Bounded by lines and by bytes; the answer says that something is missing."""
    scene.recorder.write(b"".join(b"%d\n" % number for number in range(2 * LOG_LINES)))
    assert scene.messages() == [str(number) for number in range(LOG_LINES, 2 * LOG_LINES)]
    assert scene.get("logs").json["is_complete"] is False
    few = scene.get("logs", "?lines=2").json
    assert [entry["message"] for entry in few["logs"]][-2:] == [str(2 * LOG_LINES - 2), str(2 * LOG_LINES - 1)]
    assert (few["log_count"], few["is_complete"]) == (4, False)
    for wrong in ("0", "x", str(LOG_LINES + 1)):
        assert scene.get("logs", f"?lines={wrong}").status_code == 400
    scene.recorder.write(b"x" * 2 * LOG_BYTES)
    answer = scene.get("logs")
    assert (answer.json["log_count"], answer.json["is_complete"]) == (3, False)
    assert len(answer.content) < 2000, "a line is cut"


def test_output_of_another_machine_is_missing(scene: Scene, service: FakeJobService) -> None:
    """Its last lines are in the database, if anything is."""
    service.outputs = None
    assert (scene.messages(), scene.get("logs").json["is_complete"]) == ([], False)
