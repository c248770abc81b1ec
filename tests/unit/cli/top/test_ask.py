"""One look at a daemon."""

import pytest

from hvd.cli.client import Address
from hvd.cli.top.ask import JobsWanted, ask, ask_jobs, change_pin, parsed, with_first_messages
from hvd.cli.top.model import Model
from hvd.errors import DaemonRefused, DaemonUnreachable
from tests.unit.cli.daemon import daemon
from tests.unit.cli.top.data import history, job, raw

PINS_ANSWER = {"pins": [{"key": "turns_total", "points": [[1000.0, 2.5]]}]}


def test_a_snapshot_is_enough() -> None:
    """It says what is wrong by itself; the history is asked for where it is wanted."""
    with daemon((200, raw(reasons=["disk full"], system_health="degraded")), (200, history(3)), (200, PINS_ANSWER)) as (
        url,
        requests,
    ):
        known = ask(Address.parse(url), 5.0, history=True).applied(Model(), 7.0)
    assert [request.path for request in requests] == ["/api/v1/snapshot", "/api/v1/history", "/api/v1/pins"]
    assert (known.reasons, len(known.points), known.received) == (("disk full",), 3, 7.0)
    assert known.own.points == {"turns_total": ((1000.0, (2.5,)),)}


def test_an_older_daemon_says_in_health_what_is_wrong() -> None:
    """With a status of 503 too; its history may be missing."""
    with daemon((200, raw(system_health="unhealthy")), (503, {"reasons": ["no worker"]}), (404, {}), (404, {})) as (
        url,
        requests,
    ):
        known = ask(Address.parse(url), 5.0, history=True).applied(Model(), 7.0)
    assert [request.path for request in requests] == ["/api/v1/snapshot", "/health", "/api/v1/history", "/api/v1/pins"]
    assert (known.reasons, known.points) == (("no worker",), ())


def test_what_is_missing_beside_the_snapshot_is_no_failure() -> None:
    """But without a snapshot there is nothing to show."""
    with daemon((200, raw(system_health="degraded")), (200, b"garbage")) as (url, _):
        assert ask(Address.parse(url), 5.0, history=True).health is None
    with pytest.raises(DaemonUnreachable, match="connection refused"):
        ask(Address.parse("http://127.0.0.1:1"), 1.0)


def test_a_daemon_without_a_websocket_is_shown_all_the_same() -> None:
    """As it was."""
    known = Model(received=3.0)
    with daemon((404, {})) as (url, _):
        assert with_first_messages(Address.parse(url), 1.0, known, 5.0) == known


@pytest.mark.parametrize(("text", "message"), [('{"type": "x"}', {"type": "x"}), ("garbage", {}), ("[1]", {})])
def test_what_is_no_message_is_empty(text: str, message: dict[str, object]) -> None:
    """It changes nothing then."""
    assert parsed(text) == message


def test_a_pin_is_changed_or_refused() -> None:
    """With the reason in the daemon's words."""
    key = 'orders_total{shop="a&b"}'
    with daemon((204, b""), (409, {"detail": "unpin one"}), (403, {})) as (url, requests):
        address = Address.parse(url)
        assert change_pin(address, key, 5.0, pinned=True) == ""
        assert change_pin(address, key, 5.0, pinned=False) == "unpin one"
        assert change_pin(address, key, 5.0, pinned=True) == "the answer is 403"
    assert requests[0].path == "/api/v1/pins?key=orders_total%7Bshop%3D%22a%26b%22%7D"
    assert [request.method for request in requests] == ["PUT", "DELETE", "PUT"]


def test_jobs_are_asked_for_by_pages_and_by_words() -> None:
    """What is open first; the daemon looks for the longest word and for states, the list for all of them."""
    first = {"jobs": [job(str(number), "running", 0.0) for number in range(500)], "total": 700, "next": "ended.x"}
    rest = {"jobs": [job("last", "failed", 0.0)], "total": 700, "next": None}
    with daemon((200, first), (200, rest), (403, {"detail": "no"})) as (url, requests):
        answer = ask_jobs(Address.parse(url), 5.0, JobsWanted("", 600))
        assert (len(answer["jobs"]), answer["total"], answer["next"]) == (501, 700, None)
        with pytest.raises(DaemonRefused, match="no"):
            ask_jobs(Address.parse(url), 5.0, JobsWanted("Disk failed a", 100))
    assert [request.path for request in requests] == [
        "/jobs?limit=500&order=open",
        "/jobs?limit=100&before=ended.x&order=open",
        "/jobs?status=failed&search=disk&limit=100&order=open",
    ]
