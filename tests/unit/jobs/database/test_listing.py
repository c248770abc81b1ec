"""Lists of jobs: searched, ordered, paged and counted, on SQLite and on PostgreSQL."""

import pytest

from hvd.jobs.database import listing
from hvd.jobs.database.connection import Database
from hvd.jobs.database.store import Store
from hvd.jobs.job import NewJob
from hvd.jobs.listing import COUNTED, OPEN_FIRST, Filter, Place, Wanted
from hvd.jobs.submission import Submission
from tests.unit.jobs.support import kinds, queue_of, submit

NAMES = ("Image A.qcow2", "image b.qcow2", "100%", "1000", "a_b", "axb", "ÄPFEL \\ x", "'; DROP TABLE hvd_jobs; --")


def _named(store: Store, *names: str, kind: str = "plain") -> list[str]:
    jobs = [NewJob(kinds()[kind], {}, name) for name in names]
    ids: list[str] = store.submit(Submission(jobs), 10_000).answer["job_ids"]
    return ids


def _ids(store: Store, filter: Filter, order: str = OPEN_FIRST) -> list[str]:
    page = store.page(Wanted(filter, 500, None, order))
    assert page.next is None
    assert page.total == len(page.jobs)
    return [job.id for job in page.jobs]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("IMAGE", NAMES[1::-1]),
        ("e a.q", NAMES[:1]),
        ("%", NAMES[2:3]),
        ("0%", NAMES[2:3]),
        ("_", (NAMES[7], NAMES[4])),
        ("a_b", NAMES[4:5]),
        ("äpfel", NAMES[6:7]),
        ("\\", NAMES[6:7]),
        ("'; drop", NAMES[7:]),
        ("/", ()),
        ("lain0", ()),
        ("PLAIN", NAMES[::-1]),
    ],
)
def test_a_search_takes_its_text_as_it_is(store: Store, text: str, names: tuple[str, ...]) -> None:
    """In name and kind, in any case; no letter of it is a wildcard."""
    _named(store, *NAMES)
    (other,) = submit(store, 1, "stubborn")
    assert [store.find([job_id])[0].name for job_id in _ids(store, Filter(text=text))] == list(names)
    assert other not in _ids(store, Filter(text=text))


def test_a_search_finds_ids_and_keeps_to_the_other_filters(store: Store) -> None:
    """The end of an id, as people read them out; of these statuses and kinds."""
    first, second = submit(store, 2)
    (stubborn,) = submit(store, 1, "stubborn")
    store.cancel([first])
    assert _ids(store, Filter(text=second[-12:].upper())) == [second]
    assert _ids(store, Filter(["cancelled"], text="JOB")) == [first]
    assert _ids(store, Filter([], ["stubborn"], "job 0")) == [stubborn]
    assert _ids(store, Filter(["failed"], ["plain"], "job")) == []


def test_what_is_open_comes_first_page_by_page(store: Store, database: Database) -> None:
    """What runs, what waits, what has ended; each newest first, each once, wherever a page ends."""
    queue, ids = queue_of(database), submit(store, 9)
    running = sorted((job.id for job in queue.claim({"plain": 3}, 3)), reverse=True)
    waiting = [job_id for job_id in reversed(ids) if job_id not in running]
    store.cancel(waiting[::2])
    order = [*running, *waiting[1::2], *waiting[::2]]
    for limit in range(1, 10):
        seen, after = list[str](), None
        while True:
            page = store.page(Wanted(Filter(), limit, after, OPEN_FIRST))
            assert page.total == 9
            seen += [job.id for job in page.jobs]
            after = page.next
            if after is None:
                break
            assert Place.parse(str(after), OPEN_FIRST) == after
        assert seen == order
    assert _ids(store, Filter(["pending", "cancelled"])) == order[3:]
    assert _ids(store, Filter(), "newest") == ids[::-1]


def test_a_page_goes_on_where_its_job_was(store: Store, database: Database) -> None:
    """A job that ended meanwhile hides none of those that run, nor any that wait."""
    queue, _ = queue_of(database), submit(store, 4)
    running = sorted((job.id for job in queue.claim({"plain": 2}, 2)), reverse=True)
    page = store.page(Wanted(Filter(), 1, None, OPEN_FIRST))
    store.cancel(running)
    with database.writing() as connection:
        connection.exec_driver_sql(f"UPDATE hvd_jobs SET status = 'failed' WHERE id = '{running[0]}'")
    rest = store.page(Wanted(Filter(), 10, page.next, OPEN_FIRST))
    assert [job.id for job in rest.jobs[:1]] == running[1:]
    assert len(rest.jobs) == 4, "it is shown once more, as it is now"


def test_what_is_costly_to_count_is_not_counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a bound of the jobs to be looked at, whatever is searched for."""
    submit(store, 6)
    assert COUNTED >= 1000
    monkeypatch.setattr(listing, "COUNTED", 5)
    assert store.page(Wanted(Filter(), 2)).total is None
    assert store.page(Wanted(Filter(text="job 1"), 2)).total is None
    assert store.page(Wanted(Filter(["cancelled"]), 2)).total == 0
    assert store.page(Wanted(Filter([], ["stubborn"], "x"), 2)).total == 0
