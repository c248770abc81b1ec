"""When the runner does what, without a runner."""

import pytest

from hvd.jobs.run import schedule
from hvd.jobs.run.schedule import BUSY_CLAIM_PAUSE, CLAIM_PAUSE, TROUBLE_PAUSES, Room, Trouble
from hvd.settings.job_declarations import read_kinds

KINDS, _ = read_kinds({name: {"command": ["true"], "concurrency": most} for name, most in (("one", 1), ("two", 2))})


@pytest.mark.parametrize(
    ("jobs", "concurrency", "by_kind", "kinds", "most"),
    [
        ([], 8, {"one": 1, "two": 2}, ["one", "two"], 8),
        (["one", "two"], 8, {"one": 0, "two": 1}, ["two"], 6),
        (["one", "two", "two"], 8, {"one": 0, "two": 0}, [], 0),
        (["one"], 1, {"one": 0, "two": 2}, [], 0),
        (["one", "one", "gone"], 2, {"one": -1, "two": 2}, [], 0),
    ],
    ids=["nothing runs", "one kind is full", "all kinds are full", "no room in all", "after a reload"],
)
def test_room_is_what_runs_leaves(
    jobs: list[str], concurrency: int, by_kind: dict[str, int], kinds: list[str], most: int
) -> None:
    """Of each kind and in all; jobs of a kind that is not declared any more take room, too."""
    room = Room.beside(jobs, KINDS, concurrency)
    assert (room.by_kind, room.kinds, room.most) == (by_kind, kinds, most)


def test_trouble_is_news_once_and_pauses_grow() -> None:
    """Until a turn succeeds."""
    trouble = Trouble()
    assert trouble.public == ""
    assert [trouble.add(text, "public") for text in ("a", "a", "b")] == [True, False, True]
    assert (trouble.public, trouble.pause) == ("public", TROUBLE_PAUSES[2])
    for _ in range(10):
        trouble.add("b", "public")
    assert trouble.pause == TROUBLE_PAUSES[-1]
    trouble.clear()
    assert trouble.public == ""
    assert trouble.add("b", "public")
    assert trouble.pause == TROUBLE_PAUSES[0]


@pytest.mark.parametrize(
    ("is_local", "lease", "has_progress", "needs_figures", "rest"),
    [
        (True, 60.0, False, False, 2.0),
        (False, 60.0, False, False, 1.0),
        (True, 3.0, False, False, 1.0),
        (True, 60.0, True, False, 0.5),
        (True, 60.0, True, True, 0.1),
    ],
)
def test_a_rest_ends_before_something_is_due(
    is_local: bool, lease: float, has_progress: bool, needs_figures: bool, rest: float
) -> None:
    """A third of the lease, the progress, the counts; of a shared queue, others' jobs."""
    assert rest == schedule.longest_rest(
        is_local=is_local, lease=lease, has_progress=has_progress, needs_figures=needs_figures
    )


def test_a_job_that_is_due_cuts_the_rest_short() -> None:
    """Not to nothing: one that could not be claimed is not tried again at once."""
    assert schedule.rest_until_due(None, 2.0, has_claimed=True) == 2.0
    assert schedule.rest_until_due(1.5, 2.0, has_claimed=True) == 1.5
    assert schedule.rest_until_due(0.0, 2.0, has_claimed=True) == BUSY_CLAIM_PAUSE
    assert schedule.rest_until_due(-5.0, 2.0, has_claimed=False) == CLAIM_PAUSE
    assert schedule.rest_until_due(0.0, 0.1, has_claimed=False) == 0.1


def test_counts_are_read_more_often_where_they_changed_and_seldom_while_busy() -> None:
    """A reading takes as long as several short jobs."""
    pauses = [schedule.figures_pause(is_needed=needed, is_busy=busy) for needed, busy in ((1, 0), (1, 1), (0, 0))]
    assert pauses == [0.1, 0.5, 2.0]
