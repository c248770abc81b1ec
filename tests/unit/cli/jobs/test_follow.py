"""Waiting: which jobs are asked for and how often, how long a daemon may be away, and what is noted meanwhile."""

from collections.abc import Sequence
from typing import Any

import pytest

from hvd.cli.jobs.follow import PATIENCE, QUICK, SLOW, follow, output_pieces
from hvd.cli.jobs.remote import Piece
from hvd.errors import DaemonRefused, DaemonUnreachable, StillOpen
from tests.unit.cli.daemon import ID, OTHER, Json, job

AWAY = DaemonUnreachable("no daemon answers")
BUSY = DaemonRefused("the daemon refused (503): database away", 503)


class FakeRemote:
    """Gives these answers, the last one again and again; an answer is jobs, or an error to raise."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.requests: list[list[str]] = []
        self.now = 0.0
        self.pauses: list[float] = []

    def query(self, ids: Sequence[str]) -> tuple[list[Json], list[str]]:
        self.requests.append(list(ids))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        jobs = [job for job in answer if job["id"] in ids]
        return jobs, [job_id for job_id in ids if job_id not in {job["id"] for job in jobs}]

    def output(self, job_id: str, start: int) -> Piece:
        self.requests.append([job_id, str(start)])
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Piece)
        return answer

    def output_pieces(self, **parts: Any) -> list[bytes]:
        remote: Any = self
        return list(output_pieces(remote, ID, clock=lambda: self.now, sleep=self.sleep, **parts))

    def sleep(self, pause: float) -> None:
        assert pause > 0
        self.pauses.append(pause)
        self.now += pause

    def follow(self, ids: Sequence[str] = (ID,), within: float | None = None, **parts: Any) -> list[Json]:
        remote: Any = self
        parts = {"show": lambda jobs: None} | parts
        return follow(remote, ids, within, clock=lambda: self.now, sleep=self.sleep, **parts)


def test_jobs_are_asked_for_until_all_have_ended() -> None:
    """Those that have are not asked for again; the answer is in the order of the ids, each once."""
    first, second = job("completed"), job("running", OTHER)
    remote = FakeRemote([first, second], [second], [job("failed", OTHER)])
    seen: list[list[Json]] = []
    ended = remote.follow([OTHER, ID, OTHER], show=seen.append)
    assert [(job["id"], job["status"]) for job in ended] == [(OTHER, "failed"), (ID, "completed")]
    assert remote.requests == [[OTHER, ID], [OTHER], [OTHER]]
    assert [len(jobs) for jobs in seen] == [2, 1, 1]


def test_the_less_happens_the_longer_the_pauses() -> None:
    """Up to two seconds; a change makes them short again."""
    remote = FakeRemote(*[[job()]] * 12, [job(progress=5)], [job("completed")])
    remote.follow()
    assert len(remote.pauses) == 13, "none after the last answer"
    assert remote.pauses[0] == QUICK
    assert remote.pauses[1:12] == sorted(remote.pauses[1:12])
    assert remote.pauses[11] == SLOW
    assert remote.pauses[12] == QUICK


@pytest.mark.parametrize("error", [AWAY, BUSY, DaemonRefused("slowly", 429)])
def test_a_daemon_may_be_away_for_a_while(error: Exception) -> None:
    """A restart, or a database that is full for a moment; each time it is said."""
    remote = FakeRemote([job()], error, error, error, [job("completed")])
    noted: list[str] = []
    assert remote.follow(note=noted.append)[0]["status"] == "completed"
    assert noted == [f"{error}; trying on"] * 3


def test_without_a_limit_patience_ends() -> None:
    """Counted from the last answer. One that never answered is not waited for: more likely it is another address."""
    remote = FakeRemote([job()], AWAY, AWAY, [job()], AWAY)
    with pytest.raises(DaemonUnreachable):
        remote.follow()
    assert PATIENCE < remote.now < PATIENCE + 10
    remote = FakeRemote(AWAY)
    with pytest.raises(DaemonUnreachable):
        remote.follow()
    assert remote.now == 0


def test_within_a_limit_a_daemon_may_be_away_all_the_time() -> None:
    """From the start, and for longer than patience lasts."""
    remote = FakeRemote(*[AWAY] * 300, [job("completed")])
    assert remote.follow(within=3 * PATIENCE)
    remote = FakeRemote([job()], AWAY)
    with pytest.raises(DaemonUnreachable):
        remote.follow(within=3 * PATIENCE)
    assert remote.now == pytest.approx(3 * PATIENCE)


def test_when_the_time_is_over_jobs_are_still_open() -> None:
    """Not a moment later."""
    remote = FakeRemote([job("completed"), job("running", OTHER)])
    with pytest.raises(StillOpen, match=r"1 of 2 jobs had not ended after 7.25 s"):
        remote.follow([ID, OTHER], within=7.25)
    assert remote.now == pytest.approx(7.25)


def test_jobs_that_there_are_not_are_not_waited_for() -> None:
    """Nor is a daemon that refuses for good."""
    with pytest.raises(DaemonRefused, match=f"no job has the id {OTHER}"):
        FakeRemote([job()]).follow([ID, OTHER], within=60)
    with pytest.raises(DaemonRefused, match="no kinds"):
        FakeRemote(DaemonRefused("no kinds", 404)).follow(within=60)


def test_output_is_asked_for_until_the_job_has_ended() -> None:
    """At once after each piece; with a pause where the daemon had nothing and didn't wait. A gap is told."""
    remote = FakeRemote(
        *(Piece(0, b"one", "running"), Piece(0, b"", "running"), AWAY, Piece(9, b"two", "completed")),
        Piece(0, b"", "completed"),
    )
    notes: list[str] = []
    assert remote.output_pieces(note=notes.append) == [b"one", b"two"]
    assert [start for _, start in remote.requests] == ["0", "3", "3", "3", "12"]
    assert remote.pauses == [QUICK] * 2
    assert notes == ["no daemon answers; trying on", "6 bytes are left out here"]


def test_output_that_is_refused_is_not_waited_for() -> None:
    """Nor is a daemon that was never there."""
    for error in (AWAY, DaemonRefused("kept on there", 404)):
        with pytest.raises(type(error)):
            FakeRemote(error).output_pieces()
