"""What a daemon is asked for beside its numbers; tests of the app have all of it at work."""

import threading

import pytest

from hvd.cli.client import Address
from hvd.cli.top.deeds import Details, in_thread
from hvd.cli.top.frame import UNICODE
from hvd.cli.top.lists import JOBS, ROUTES
from hvd.errors import DaemonRefused
from tests.unit.cli.top.data import job, model, route


def test_details_are_of_now_and_outlive_their_row() -> None:
    """What was asked for follows; until then it says so."""
    rows = [job("a", "running", 40.0)]
    details = Details(JOBS, rows[0], lambda: (model(), rows))
    rows[0] = job("a", "completed", 100.0)
    text = "\n".join(line.plain for line in details.content(UNICODE)[1])
    assert "completed" in text
    assert text.endswith("last lines: asking")
    rows.clear()
    details.more = ["", "\x1b[31mred"]
    title, lines = details.content(UNICODE)
    assert (title, [line.plain for line in lines[-3:]]) == ("job a", ["last lines:", "", "\\x1b[31mred"])
    assert Details(ROUTES, route("/a", 1), lambda: (model(), [])).question(Address.parse("http://h:1"), 1.0) is None


@pytest.mark.parametrize(("failure", "expected"), [(None, "done"), (DaemonRefused("no", 403), "failed: no")])
def test_the_outcome_is_told(failure: Exception | None, expected: str) -> None:
    """Either way."""
    outcomes: list[str] = []
    told = threading.Event()

    def work() -> str:
        if failure:
            raise failure
        return "done"

    def tell(text: str) -> None:
        outcomes.append(text)
        told.set()

    in_thread(work, tell, lambda error: tell(f"failed: {error}"))
    assert told.wait(20)
    assert outcomes == [expected]
