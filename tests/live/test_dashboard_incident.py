"""The page in an incident, in a real Chromium: what an operator reads first, in each state, at each size."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import Browser, url_of
from tests.support.outage import LINE, PATH, Stuck
from tests.support.server import Server
from tests.support.waiting import PATIENCE, crowding, until

MESSAGES = (Path(__file__).parents[1] / "support" / "messages.js").read_text()
OUTAGE = "#outage:not([hidden])"
FIGURES = "#now .large > div"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("daemon"), workers=2, interval=0.5) as server:
        yield server


@pytest.fixture
def page(browser: Browser, daemon: Server) -> Browser:
    """The page, cut off from its daemon: it shows what it is given."""
    browser.size(1440, 900)
    browser.open(url_of(daemon.address))
    browser.wait_text("#connection", "Live")
    until(lambda: browser.with_page("return page.history.bounds.length"), "the history is there")
    browser.cut_off()
    return browser


def show(browser: Browser, script: str) -> None:
    """Run it with what messages.js has, and draw."""
    browser.with_page(f"{MESSAGES}\n{script}; page.frames.finish()")


def figures(browser: Browser) -> dict[str, list[str]]:
    """The lines of each figure, by its name."""
    return {lines[0]: lines[1:] for lines in (text.split("\n") for text in browser.texts(FIGURES))}


def test_an_outage_is_told_within_two_seconds_of_opening(browser: Browser, tmp_path: Path) -> None:
    """All threads are stuck when the page is opened: that they are, since when, with which requests, where in the code,
    on the first screen, above all else.
    """
    with (
        Server(tmp_path, workers=2, threads=2, admin_bind="127.0.0.1:0", watch_slow_request_seconds=1.0) as server,
        Stuck(server, 2) as stuck,
    ):
        stuck.hold(4)
        until(lambda: "saturated" in str(server.admin_get("/health").json()["reasons"]), "it is known")
        until(
            lambda: all(
                request["stack"] for request in server.admin_get("/api/v1/snapshot").json()["longest_requests"]
            ),
            "where they stand is known",
        )
        browser.size(1366, 768)
        browser.open(url_of(server.admin_address))
        told: float = browser.with_page(
            """
            const all = () => /All 4 threads are busy/.test(outage.innerText) && /since/.test(outage.innerText)
              && /4 \\u00d7/.test(outage.innerText) && /app.py/.test(outage.innerText);
            const outage = document.querySelector("#outage");
            while (!all()) await new Promise((next) => setTimeout(next, 10));
            return performance.now();
            """
        )
        print(f"told after {told:.0f} ms")
        assert told < 2000 * PATIENCE * crowding()
        text = browser.wait_text(OUTAGE, "nothing is answered")  # what was answered before is of the last interval
        assert re.search(r"since [\d:]+ \S+ · \d+ s ago", text), text
        assert f"GET {PATH}" in text
        assert f"at support/app.py:{LINE} in Locked.on_get" in text
        places = "const box = document.querySelector('{}').getBoundingClientRect(); return [box.top, box.bottom]"
        (_, bottom), (top, _) = (browser.run(places.format(each)) for each in ("#outage", "#now"))
        assert bottom < top < 768
        assert "Degraded" in browser.text("#health")
        assert re.match(r"4\s?of 4", figures(browser)["Threads busy"][0])
        assert browser.complaints() == []
        stuck.release()
        browser.wait_text(OUTAGE, "All 4 threads were busy for")
        assert browser.complaints() == []


def test_the_last_minute_stands_beside_the_minute_before(page: Browser) -> None:
    """In words; red is for 5xx alone; and the totals are small print, exact on hover."""
    show(page, "show(raw({ http_requests: 8_410_000_000_123 }))")
    assert figures(page) == {
        "5xx errors": ["0.4 %", "240 of 57,120", "▲ up from 0 %"],
        "4xx errors": ["1.2 %", "684 of 57,120", "▼ down from 1.5 %"],
        "p99": ["182 ms", "half within 8.10 ms", "▲ up from 45.0 ms"],
        "Requests": ["952/s", "57,120 in 1 min", "▲ up from 850/s"],
        "Threads busy": ["46 of 64", "71.0 % over 1 min", "▲ up from 55.0 %"],
        "Waiting": ["0", "nobody waits"],
    }
    assert page.run("return [...document.querySelectorAll('#now .large .value[data-state=bad]')].length") == 1
    assert "8.41 T requests · 5xx 620" in page.text("#now .print")
    assert "8,410,000,000,123 requests" in page.run("return document.querySelector('#now .print').title")
    assert "2 unplanned" in page.text("#now .small")
    assert page.run("return document.querySelector('#outage').hidden")


STATES = {
    "no traffic": (
        "show(raw({ last_minute: span({ ...quiet, busy_ratio: 0 }), minute_before: span(quiet), p99_with_open: 0 }))",
        {
            "5xx errors": ["\u2013", "no requests in the last minute"],
            "p99": ["\u2013", "no requests in the last minute"],
        },
        "",
    ),
    "starting": (
        "show(raw({ health: 'starting', last_minute: null, minute_before: null, p99_with_open: 0 }))",
        {"p99": ["\u2013", "starting"], "Requests": ["\u2013", "starting"]},
        "",
    ),
    "aggregator away": (
        "show(raw({ health: 'degraded', reasons: ['aggregator away for 12 s'], observed_age_seconds: null,"
        " last_minute: null, minute_before: null, p99_with_open: 0 }))",
        {"5xx errors": ["\u2013", "unknown: the aggregator is away"]},
        "",
    ),
    "no worker": (
        "show(raw({ health: 'unhealthy', reasons: ['no worker lives'], workers_alive: 0 }))",
        {},
        "The service is unhealthy",
    ),
    "outage": ("show(outage())", {"p99": ["192 s", "with unfinished", "nothing has ended"]}, "All 64 threads are busy"),
    "daemon gone": (
        "show(raw()); page.contact.report.wall -= 75; page.contact.noteHttpFailure = () => {};"
        "page.contact.failure = 'health can\\'t be reached'; page.contact.check()",
        {},
        "Last heard 1 min ago: healthy, 952.0 requests/s, 5xx 0.4 %, p99 182 ms, 46 of 64 threads busy.",
    ),
}


@pytest.mark.parametrize("state", STATES)
def test_each_state_says_what_it_is(page: Browser, state: str) -> None:
    """What isn't known has a reason, and is no zero; what is wrong stands above all."""
    script, expected, trouble = STATES[state]
    show(page, script)
    shown = figures(page)
    assert {name: shown[name] for name in expected} == expected
    assert trouble in page.text(OUTAGE) if trouble else not page.text(OUTAGE)
    assert not any(word in page.text("body") for word in ("NaN", "undefined", "0.000"))
    assert page.complaints() == []


def cut_words(browser: Browser) -> list[str]:
    """Of the figures and the outage: what has no room where it stands."""
    found: list[str] = browser.run(
        "return [...document.querySelectorAll('#now dd, #now dt, #now p, #outage *')]"
        ".filter((each) => each.checkVisibility() && each.scrollWidth > each.clientWidth + 1 && each.clientWidth)"
        ".map((each) => each.innerText)"
    )
    return found


@pytest.mark.parametrize("width", [390, 1280, 1920, 2560])
def test_it_has_room_for_everything_at_each_size(page: Browser, width: int) -> None:
    """70 routes, 16 workers, 500 jobs, numbers of 10^12, in an outage too: nothing sticks out, no figure is cut, and no
    three tables stand side by side; axe-core finds nothing, in both schemes, with a panel open too.
    """
    page.size(width, 900)
    show(page, "many()")
    visible = "document.documentElement.clientWidth"
    assert page.run(f"return document.documentElement.scrollWidth - {visible}") == 0
    assert cut_words(page) == []
    page.run("document.querySelectorAll('ul.legend .value').forEach((value) => (value.firstChild.data = '52.5 ms'))")
    outside = (
        "return [...document.querySelectorAll('ul.legend')].filter((legend) => legend.firstChild"
        ".getBoundingClientRect().left < legend.getBoundingClientRect().left - 0.5).map((legend) => legend.innerText)"
    )
    assert page.run(outside) == [], "a legend's beginning is cut"
    tops: list[Any] = page.run(
        "return ['#routes', '#workers', '#jobs'].map((id) => document.querySelector(id).getBoundingClientRect())"
        ".map(({ top, width }) => [Math.round(top), Math.round(width)])"
    )
    main = page.run("return Math.round(document.querySelector('#now').getBoundingClientRect().width)")
    assert tops[0][1] == main, "routes have the whole width"
    assert len({top for top, _ in tops}) >= 2
    assert page.accessibility() == []
    page.size(width, 900, scheme="dark")
    show(page, "show(outage())")
    page.run("document.querySelector('#routes tbody a').click()")
    until(lambda: page.text("#panel h2"), "a panel is open")
    show(page, "")
    assert page.run(f"return document.documentElement.scrollWidth - {visible}") == 0
    assert cut_words(page) == []
    assert page.accessibility() == []
    assert page.complaints() == []


def test_a_panel_has_an_address(page: Browser) -> None:
    """Esc closes it, back and forward go through it, focus comes and goes, a copied link opens it, other keys stay."""
    show(page, "many()")
    link = page.driver.find_element("css selector", "#routes tbody a")
    name = page.run("return arguments[0].closest('tr').querySelector('a').title", link)
    page.run("location.hash = '#theirs=1'; arguments[0].focus(); arguments[0].click()", link)
    until(lambda: page.text("#panel h2") == name, "its panel is open")
    until(lambda: page.run("return document.activeElement.id") == "panel-title", "and has the focus")
    url = page.driver.current_url
    assert "#theirs=1&route=/api/v1/customers/" in url
    page.driver.switch_to.active_element.send_keys("\ue00c")  # escape
    until(lambda: not page.text("#panel"), "escape closes it")
    assert page.driver.current_url.endswith("#theirs=1")
    until(lambda: page.run("return document.activeElement === arguments[0]", link), "the focus goes back")
    page.driver.back()
    until(lambda: page.text("#panel h2") == name, "back opens it again")
    page.driver.forward()
    until(lambda: not page.text("#panel"), "and forward closes it")
    page.open(url)
    until(lambda: page.text("#panel h2") == name, "the link opens it")
    page.size(390, 800)
    until(lambda: page.run("return document.querySelector('main').inert"), "over the page nothing else is reached")
    page.click("#panel .close")
    until(lambda: not page.run("return document.querySelector('main').inert"), "it is reached again")
