"""The dashboard left open for a day: 43,200 messages of each kind, given to its handler as fast as it takes them."""

from pathlib import Path

import pytest

from tests.support.browser import Browser, url_of
from tests.support.server import Server
from tests.support.waiting import until

HOURS = 24
MESSAGES = HOURS * 3600 // 2
DRAWN_EVERY = 360  # messages: two are drawn, of which the second is timed; all of a day would take minutes
FRAME = 8  # ms
SLACK = 512 * 1024  # bytes: what 16 bytes a message would come to

FEED = (Path(__file__).parents[1] / "support" / "day.js").read_text()


@pytest.mark.long(40)
def test_a_day_takes_no_memory_and_little_time(tmp_path: Path) -> None:
    """What JavaScript keeps, and the page's elements, are as many after the last quarter as after the first; and a
    frame takes below 8 ms where everything is new.
    """
    with Server(tmp_path, workers=2) as server, Browser() as browser:
        browser.size(1366, 768)
        browser.open(url_of(server.address))
        browser.wait_text("#connection", "Live")
        until(lambda: browser.with_page("return page.history.bounds.length"), "the history is there")
        browser.with_page(
            "page.socket.close(); page.model.now = () => window.now; window.now = 0; page.history.ring.length = 0"
        )
        # compiled once: each script that is new takes as much of the heap as what this looks for
        browser.with_page(f"window.feed = async (FROM, TO) => {{ {FEED.replace('EVERY', str(DRAWN_EVERY))} }}")
        heaps, found = [], []
        quarters = 4
        for quarter in range(quarters):
            ends = MESSAGES * quarter // quarters, MESSAGES * (quarter + 1) // quarters
            found.append(browser.with_page(f"return feed({ends[0]}, {ends[1]})"))
            heaps.append(browser.heap())
        print(f"heap after each quarter: {[round(heap / 1e6, 2) for heap in heaps]} MB; {found}")
        assert sum(each["frames"] for each in found) >= 2 * MESSAGES // DRAWN_EVERY, "a message takes several"
        assert heaps[-1] - heaps[0] < SLACK, "flat"
        assert found[-1]["nodes"] <= found[0]["nodes"] + 50, "elements are reused; a row may have come"
        assert max(each["scripts"] for each in found) < FRAME, "on a machine that does other things, too"
        assert browser.complaints() == []
