"""The app's own metrics on the page and in the terminal: the list, charts, and what is pinned."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from itertools import pairwise
from urllib.parse import quote

import pytest

from tests.support.browser import Browser, url_of
from tests.support.guest import Guest
from tests.support.http import Connection
from tests.support.pseudo import Pseudo
from tests.support.waiting import until

SHOP = """\
from hvd import Counter, Gauge, Histogram

orders = Counter("orders", "Orders placed.", ["shop"])
level = Gauge("level", "Messages in the queue.", multiprocess_mode="livemin")
pay = Histogram("pay_seconds", "Time to pay.")

def app(environ, start_response):
    orders.labels("north").inc(3)
    orders.labels("south").inc()
    level.set(-4)
    pay.observe(0.03)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
PINS = "/api/v1/pins"
NORTH = 'orders_total{shop="north"}'
ENVIRON = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A service that has counted something, and whose settings pin a metric."""
    folder = tmp_path_factory.mktemp("shop")
    server = Guest(
        folder, files={"shop.py": SHOP}, interval=0.5, admin_bind="127.0.0.1:0", environ={"HVD_PINNED": "orders_total"}
    )
    with server:
        ask(server)
        yield server


def ask(server: Guest, times: int = 5) -> None:
    with server.connection() as connection:
        for _ in range(times):
            connection.get("/")


def pinned(server: Guest) -> dict[str, list[list[float | None]]]:
    """The points by key."""
    return {pin["key"]: pin["points"] for pin in server.admin_get(PINS).json()["pins"]}


def rate_seen(server: Guest, key: str) -> float:
    """Orders, as the points of a pin add up to."""
    points = pinned(server).get(key, [])
    spans = pairwise(points)
    return sum((later[0] - before[0]) * (later[1] or 0.0) for before, later in spans if later[0] and before[0])


def test_a_metric_is_found_charted_and_pinned(shop: Guest) -> None:
    """On the page; what it draws is there again after a reload, and after the death of the aggregator."""
    with Browser() as browser:
        browser.size(1366, 900)
        browser.open(url_of(shop.admin_address))
        browser.wait_text("#own > .panel tbody", "orders_total (all 2)")
        assert browser.text("#own h2") == "Own metrics"
        assert [text for text in browser.texts("#own .chart h3") if text.startswith("orders_total")]
        search(browser, "north placed")
        until(lambda: browser.texts("#own > .panel tbody th") == [NORTH], "it is found")
        browser.click("#own > .panel tbody tr .action button:first-child")
        browser.wait_text("#own .charts", NORTH)
        until(lambda: drawn(browser, NORTH) > 0, "it has a point", 30)
        browser.click("#own > .panel tbody tr .action button:last-child")
        until(lambda: NORTH in pinned(shop), "it is pinned")
        until(lambda: len(pinned(shop)[NORTH]) > 1, "it has points", 30)
        search(browser, "level")
        until(lambda: browser.texts("#own > .panel tbody td:nth-child(3)") == ["-4"], "its value is shown")
        assert browser.accessibility() == []
        (aggregator,) = shop.pids("aggregator")
        os.kill(aggregator, signal.SIGKILL)
        ask(shop, 20)
        count = len(pinned(shop)[NORTH])
        until(lambda: len(pinned(shop)[NORTH]) > count + 1, "another aggregator goes on", 30)
        browser.open(url_of(shop.admin_address))
        until(lambda: drawn(browser, NORTH) >= count, "the history is there")
        search(browser, "north")
        until(lambda: browser.texts("#own > .panel tbody th") == [NORTH], "it is found again")
        browser.click("#own > .panel tbody tr .action button:last-child")
        until(lambda: [*pinned(shop)] == ["orders_total"], "it is pinned no more")
        assert browser.complaints() == []


def search(browser: Browser, words: str) -> None:
    browser.run(
        "const input = document.querySelector('#own input'); input.value = arguments[0];"
        "input.dispatchEvent(new Event('input'));",
        words,
    )


def drawn(browser: Browser, key: str) -> int:
    """How many points the page has of it."""
    return int(
        browser.with_page(
            f"const {{ history }} = page; let n = 0; for (let i = 0; i < history.length; i += 1)"
            f" n += Number.isFinite(history.at({json.dumps(key + ' 0')}, i)); return n;"
        )
    )


def test_the_terminal_has_the_same(shop: Guest) -> None:
    """List, search, chart, pin."""
    command = [sys.executable, "-m", "hvd", "top", "--url", url_of(shop.admin_address, "")]
    with Pseudo(command, 120, 30, ENVIRON) as terminal:
        terminal.press("4")
        terminal.shows("4 metrics 5", "orders_total (all 2)")
        terminal.press("/pay")
        terminal.shows("/pay: 1")
        terminal.press("\r")
        ask(shop, 20)
        terminal.shows("pay_seconds p99", "0│", "p pin")
        terminal.press("p")
        until(lambda: "pay_seconds" in pinned(shop), "it is pinned")
        terminal.shows("● pay_seconds")
        terminal.press("p")
        until(lambda: "pay_seconds" not in pinned(shop), "it is pinned no more")
        terminal.press("q")
        assert terminal.wait() == 0


def test_points_add_up_to_what_was_counted(shop: Guest) -> None:
    """No order is in two points, or in none; over a reload too."""
    count = len(pinned(shop)["orders_total"])
    until(lambda: len(pinned(shop)["orders_total"]) > count + 1, "what was counted before is in points", 30)
    before = rate_seen(shop, "orders_total")
    ask(shop, 10)
    shop.signal(signal.SIGHUP)
    until(lambda: rate_seen(shop, "orders_total") - before >= 39, "all are in points", 30)
    assert rate_seen(shop, "orders_total") - before == pytest.approx(40, rel=0.02)


def test_who_may_not_change_anything_may_not_pin(shop: Guest) -> None:
    """A proxy's client needs a token; a page of another site gets nothing."""
    path = f"{PINS}?key={quote('level')}"
    with Connection(shop.admin_address) as connection:
        assert connection.request("PUT", path, headers={"X-Forwarded-For": "192.0.2.1"}).status in (401, 403)
        assert connection.request("PUT", path, headers={"Origin": "http://elsewhere.example"}).status == 403
        assert connection.request("POST", path).status == 405
    assert "level" not in pinned(shop)
