"""The page's tables in a real Chromium, on a real daemon: which route fails, what changed, which worker differs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hvd.cli.demo import free_port
from hvd.core.baseline import Baseline, write_baseline
from hvd.core.journal import spans_of
from hvd.core.totals import Reader
from hvd.metrics.spans import SECONDS, SpanRecord, Sums, encode_span
from hvd.metrics.table import FAMILIES
from tests.support.browser import Browser, url_of
from tests.support.guest import Guest
from tests.support.waiting import until

SHOP = """\
import os
from pathlib import Path

import falcon

class Pay:
    def on_get(self, req, resp):
        if Path("broken").exists():
            raise falcon.HTTPBadGateway()

class Order:
    def on_get(self, req, resp, number):
        if number == 404:
            raise falcon.HTTPNotFound()

class Odd:
    def on_get(self, req, resp):
        if Path(str(os.getpid())).exists():
            raise falcon.HTTPInternalServerError()

app = falcon.App()
app.add_route("/pay", Pay())
app.add_route("/orders/{number:int}", Order())
app.add_route("/odd", Odd())
"""
MINUTE, SECOND = 60, 10**9
ROUTES, CHANGES, PANEL = "#routes tbody th", "#changes li", "#panel .body"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A service with a route that was asked for."""
    folder = tmp_path_factory.mktemp("shop")
    server = Guest(folder, files={"shop.py": SHOP}, interval=0.5, admin_bind="127.0.0.1:0")
    server.command[1:1] = ["-W", "ignore"]
    with server:
        ask(server, "/pay", 1)
        yield server


def remember(server: Guest, route: str, number: int) -> None:
    """Let the daemon know of two minutes in which the route answered so many requests every ten seconds."""
    with server.opened() as block, block.locked(5):
        totals, journal = Reader(block, FAMILIES.all).read(), spans_of(block)
        sums = Sums(number, number * SECOND // 100, {20: number})
        for ago in range(2 * MINUTE, 0, -SECONDS):
            start = totals.time_ns - ago * SECOND
            series = {("GET", route, "200"): sums}
            record = SpanRecord(start, start + SECONDS * SECOND, sums, series=series, busy_ratio=0.1)
            baseline = Baseline(totals.time_ns, totals.monotonic_ns, totals.heads.errors, totals.cells)
            write_baseline(block, journal.newest + 1, baseline)
            journal.append(encode_span(record, journal.room))


@contextmanager
def there(file: Path) -> Iterator[None]:
    """It is there meanwhile."""
    file.touch()
    try:
        yield
    finally:
        file.unlink()


def ask(server: Guest, path: str, times: int) -> None:
    for _ in range(times):
        with server.connection() as connection:  # any of the workers may take it
            connection.get(path)


def open_page(browser: Browser, server: Guest, fragment: str = "") -> None:
    browser.size(1600, 900)
    browser.open(url_of(server.admin_address, f"/{fragment}"))
    browser.wait_text("#connection", "Live")


def names(browser: Browser) -> list[str]:
    return [name.replace("\n", "") for name in browser.texts(ROUTES)]


def sort(browser: Browser, column: str) -> None:
    """Largest first."""
    browser.run(
        "[...document.querySelectorAll('#routes thead button')]"
        ".find((button) => button.textContent.startsWith(arguments[0])).click()",
        column,
    )


def test_a_service_without_requests_is_told_how_to_get_one(browser: Browser, tmp_path: Path) -> None:
    """By a command with its own address, and not with that of the page."""
    port = free_port()
    with Guest(tmp_path, files={"shop.py": SHOP}, bind=f"127.0.0.1:{port}", admin_bind="127.0.0.1:0") as server:
        open_page(browser, server)
        browser.wait_text("#routes .empty", f"curl http://127.0.0.1:{port}/")
        assert browser.complaints() == []


def test_a_route_that_begins_to_fail_is_first(browser: Browser, shop: Guest) -> None:
    """In what changed, and in the routes; each leads to the route's panel, which has an address."""
    open_page(browser, shop)
    browser.run("sessionStorage.clear()")  # no order was chosen
    open_page(browser, shop)
    remember(shop, "/pay", 100)  # now: to start daemon and browser may take a minute
    until(lambda: names(browser) == ["/pay"], "the route of the last minute")
    browser.wait_text("#changes .empty", "Nothing differs from the minute before")
    ask(shop, "/orders/1", 150)
    ask(shop, "/orders/404", 20)
    with there(shop.folder / "broken"):
        ask(shop, "/pay", 80)
    first = f"{CHANGES}:first-child"
    until(lambda: "/pay" in (text := browser.text(first)) and "5xx 0 % →" in text, "it is first")
    state = f"return document.querySelector({first!r}).dataset.state"
    until(lambda: browser.run(state) == "bad", "which is bad")
    until(lambda: names(browser)[0] == "/pay", "it has the largest share of 5xx")
    reds = (
        "return [...document.querySelectorAll('#routes td[data-state=bad]')].map((cell) => cell.parentNode.item.route)"
    )
    until(lambda: set(browser.run(reds)) == {"/pay"}, "red is for 5xx")
    sort(browser, "4xx")
    until(lambda: names(browser)[0] == "/orders/{number:int}", "4xx are another column")

    browser.click(f"{CHANGES}:first-child a")
    browser.wait_text(PANEL, "502")
    assert browser.run("return location.hash") == "#route=/pay"
    until(lambda: ["502", "80"] in [[*row.split()[:1], *row.split()[-1:]] for row in statuses(browser)], "its statuses")
    assert browser.run("return document.querySelector('#routes tr[aria-current]').item.route") == "/pay"
    assert browser.accessibility() == []
    browser.driver.switch_to.active_element.send_keys("\ue00c")  # escape
    until(lambda: not browser.run("return location.hash"), "it is closed")
    assert browser.complaints() == []


def statuses(browser: Browser) -> list[str]:
    """The rows of the panel of a route."""
    return browser.texts("#panel tbody tr")


def test_the_order_and_the_time_are_chosen(browser: Browser, shop: Guest) -> None:
    """The order is kept over a reload of the page; since the start there is what was not asked for lately."""
    ask(shop, "/orders/1", 3)
    remember(shop, "/pay", 100)
    open_page(browser, shop)
    sort(browser, "Route")
    browser.driver.refresh()
    browser.wait_text("#connection", "Live")
    head = "return document.querySelector('#routes thead [aria-sort]').textContent"
    until(lambda: browser.run(head) == "Route▲", "the order is kept")
    browser.click("#routes [value=start]")
    until(lambda: "/orders/{number:int}" in names(browser), "what there was since the start")
    browser.wait_text("#routes .aside", "ago")
    browser.click("#routes [value=charts]")
    browser.wait_text("#routes .aside", " to ")
    until(lambda: "/pay" in names(browser), "what there was in the visible span")
    assert browser.complaints() == []


def test_a_worker_that_differs_is_pointed_out(browser: Browser, shop: Guest) -> None:
    """Over the table, in its row, and in its panel; that is opened by its address too."""
    odd, other = sorted(worker["pid"] for worker in shop.snapshot()["workers"])
    open_page(browser, shop, f"#worker={odd}")
    browser.wait_text(PANEL, "Threads")
    assert browser.text("#panel h2") == f"Worker {odd}"
    assert len(browser.texts("#panel canvas")) == 5

    def is_told() -> bool:
        ask(shop, "/odd", 20)
        return str(odd) in browser.text("#workers .skew")

    with there(shop.folder / str(odd)):
        until(is_told, "it is told", 45, pause=1)  # at an age of 30 s
        assert str(other) not in browser.text("#workers .skew").split(":")[0]
        row = "#workers tr[data-state=skewed], #workers tr[data-state=new]"
        assert browser.wait_text(row, "▲").startswith(str(odd))
        browser.wait_text("#panel .changes", "5xx, the others")
    assert browser.accessibility() == []
    browser.size(390, 844)
    until(lambda: browser.run("return document.documentElement.scrollWidth") == 390, "nothing sticks out")
    assert browser.complaints() == []


@pytest.mark.long(34)
def test_one_of_sixteen_workers_that_differs_is_pointed_out(browser: Browser, tmp_path: Path) -> None:
    """The one that fails, and no other; in red, where its 5xx are."""
    with Guest(tmp_path, files={"shop.py": SHOP}, workers=16, interval=0.5, admin_bind="127.0.0.1:0") as server:
        open_page(browser, server)
        until(lambda: len(browser.texts("#workers tbody tr")) == 16, "all are shown", 30)
        odd = server.snapshot()["workers"][0]["pid"]
        (tmp_path / str(odd)).touch()

        def pointed_out() -> list[str]:
            ask(server, "/odd", 200)
            return browser.texts("#workers .skew li")

        sentences = until(pointed_out, "it is told", 90, pause=2)  # at an age of 30 s
        assert all(str(odd) in sentence.split(":")[0] for sentence in sentences)
        assert any("5xx" in sentence for sentence in sentences)
        red = "#workers td.server[data-state=bad]"
        pids = browser.run(
            "return [...document.querySelectorAll(arguments[0])].map((one) => one.parentNode.item.pid)", red
        )
        assert pids == [odd]
        assert browser.complaints() == []
