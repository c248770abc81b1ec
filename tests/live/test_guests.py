"""Services of anybody's under hvd: the app, its settings and its hooks stay as they are."""

from pathlib import Path

from tests.support.guest import Guest
from tests.support.waiting import until


def test_a_plain_app_is_counted_under_its_own_settings(tmp_path: Path) -> None:
    """Its own gunicorn.conf.py, and one line more."""
    with Guest(tmp_path, conf="threads = 3\n", arguments=("-k", "gthread")) as guest:
        for _ in range(5):
            assert guest.get("/").body == b"ok"
        until(lambda: guest.snapshot()["http_requests"] == 5, "all are counted")
        assert guest.snapshot()["worker_threads"] == 6
    assert guest.alarms == []
