"""What the exporter tells of itself, and how often."""

import logging
from typing import Any

import pytest

from hvd.companion.child import as_json
from hvd.metrics.companion_pages import decode
from hvd.otlp.report import REMIND, Report
from tests.unit.otlp.support import options

URL = "http://h:4318"
REFUSED = f"{URL} does not take metrics: Connection refused"


class Scene:
    """A report, its clock, and what it has published."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pages: list[dict[str, Any]] = []
        self.report = Report(self.pages.append, logging.getLogger("hvd.otlp"), lambda: self.now)  # type: ignore[arg-type]

    def take(self, seconds: float, trouble: str = "", refused: str = "") -> dict[str, Any]:
        self.now += seconds
        self.report.take(trouble, refused)
        return self.pages[-1]


def test_a_trouble_is_one_once_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    """A receiver that is restarted makes nobody look; one that stays away does, and each line is logged once."""
    caplog.set_level("INFO")
    scene = Scene()
    scene.report.begin(options(URL, interval=2.0))
    assert (scene.pages[-1]["is_on"], scene.pages[-1]["is_failing"]) == (True, False)
    assert scene.take(1)["accepted_ns"] == 1001 * 10**9
    page = scene.take(1, REFUSED)
    assert (page["is_failing"], page["trouble"]) == (True, "")
    assert scene.take(9, REFUSED)["trouble"] == ""
    assert scene.take(1, REFUSED)["trouble"] == REFUSED
    assert scene.take(3)["trouble"] == ""
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        f"metrics go to {URL}",
        f"{REFUSED}; it is tried again",
        f"{URL} takes metrics again, after 13 s",
    ]
    scene.take(1, REFUSED)
    scene.take(REMIND, REFUSED)
    assert len(caplog.records) == 5, "said again, after some time"


def test_what_was_thrown_away_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """The receiver took the rest, so nothing fails."""
    scene = Scene()
    scene.report.begin(options(URL))
    for _ in range(3):
        assert not scene.take(1, refused="3 points: too old")["is_failing"]
    assert [record.getMessage() for record in caplog.records] == [f"{URL} has thrown away 3 points: too old"]


def test_the_page_can_be_read(caplog: pytest.LogCaptureFixture) -> None:
    """By whoever decodes pages; without a receiver it says so."""
    scene = Scene()
    scene.report.begin(options(""))
    page = decode(as_json(scene.pages[-1]))
    assert page
    assert page["page"] == "exporter"
    assert (page["is_on"], page["trouble"]) == (False, "")
    assert decode(b'{"page": "exporter", "monotonic_ns": 7}') == {
        "page": "exporter",
        "monotonic_ns": 7,
        "is_on": False,
        "is_failing": False,
        "trouble": "",
        "accepted_ns": 0,
    }
    assert not caplog.records
