"""Places in lists, as clients carry them from page to page."""

from typing import Any

import pytest

from hvd.jobs.listing import NEWEST, OPEN_FIRST, Place

ID = "01a21064-b031-7430-8385-93ada9197713"


@pytest.mark.parametrize(
    ("text", "order", "place"),
    [
        (ID, NEWEST, Place(ID)),
        (f"running.{ID}", OPEN_FIRST, Place(ID, "running")),
        (f"ended.{ID}", OPEN_FIRST, Place(ID, "ended")),
        (ID, OPEN_FIRST, None),
        (f"running.{ID}", NEWEST, None),
        (f"failed.{ID}", OPEN_FIRST, None),
        ("running.x", OPEN_FIRST, None),
        ("", NEWEST, None),
    ],
)
def test_a_place_is_read_as_it_was_written(text: str, order: str, place: Place | None) -> None:
    """One of another order is none."""
    assert Place.parse(text, order) == place
    assert place is None or str(place) == text


@pytest.mark.parametrize(("status", "group"), [("running", "running"), ("pending", "pending"), ("failed", "ended")])
def test_the_place_of_a_job_names_its_group(status: str, group: str) -> None:
    """Where open jobs come first; the newest need none."""

    class Job:
        id = ID

    job: Any = Job()
    job.status = status
    assert Place.of(job, OPEN_FIRST) == Place(ID, group)
    assert Place.of(job, NEWEST) == Place(ID)
