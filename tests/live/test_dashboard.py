"""The dashboard in a real Chromium, on a real daemon: it shows what happens, and comes back by itself."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hvd.settings.tokens import Scope, Token, digest_of
from hvd.settings.tokens_file import add_token, remove_token
from tests.support.browser import Browser, url_of
from tests.support.http import Asking, Connection
from tests.support.jobs import JobsDaemon, post
from tests.support.proxies import PROXIES, Proxy
from tests.support.server import Server
from tests.support.waiting import PATIENCE, until

PERCENTS = "import sys, time\nfor i in range(101): print('%d%%' % i, flush=True); time.sleep(float(sys.argv[1]))"
KINDS: dict[str, dict[str, Any]] = {
    "count": {
        "command": ["python3", "-c", PERCENTS, "{pause}"],
        "params.pause": {"type": "string", "pattern": "[0-9.]+", "default": "0.01"},
        "progress": "(?P<percent>[0-9]+)%",
    },
    "fail": {"command": ["sh", "-c", "exit 3"]},
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobsDaemon]:
    server = JobsDaemon(tmp_path_factory.mktemp("daemon"), KINDS, interval=0.5)
    with server:
        yield server


def open_page(browser: Browser, server: Server) -> None:
    """The page, live, with nothing to complain of."""
    browser.size(1366, 768)
    browser.open(url_of(server.address))
    wait_live(browser)


def wait_live(browser: Browser, seconds: float = 15) -> None:
    browser.wait_text("#connection", "Live", seconds)
    until(lambda: total(browser) > 0, "the page shows numbers", seconds)


def total(browser: Browser, form: str = "{} requests") -> int:
    """What the small print of the page says of all since the start, as `1,250 requests`; -1 where it says nothing."""
    shown = re.search(form.format(r"([\d,]+)"), browser.text("#now .print"))
    return int(shown[1].replace(",", "")) if shown else -1


def ask(server: Server, path: str, times: int) -> None:
    with server.connection() as connection:
        for _ in range(times):
            connection.get(path)


def test_it_shows_everything_within_a_second(browser: Browser, daemon: JobsDaemon) -> None:
    """Painted within 300 ms, complete within 1 s, in less than 130 kB; from this host alone, and without complaint."""
    ask(daemon, "/hello", 50)
    daemon.submit("fail")
    until(lambda: len(daemon.get("/api/v1/history").json()["points"]) > 0, "there is a history")
    browser.size(1366, 768)
    openings: list[tuple[int, int]] = []

    def is_quick() -> bool:  # one opening may be slow, as the machine is busy
        openings.append(first_opening(browser, daemon))
        painted, complete = (min(times) for times in zip(*openings, strict=True))
        return painted < 300 * PATIENCE and complete < 1000 * PATIENCE

    try:
        until(is_quick, "it is quick")
    finally:
        print(f"painted and complete after, in ms: {openings}")
    files = browser.run(
        "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
        ".map((entry) => [entry.name, entry.transferSize])"
    )
    assert all(name.startswith((url_of(daemon.address), "data:")) for name, _ in files)
    weight = sum(size for _, size in files)
    print(f"{weight} bytes, with headers, in {len(files)} answers")
    assert 10_000 < weight < 130_000
    wait_live(browser)
    assert browser.texts("#now .large dt") == ["5xx errors", "4xx errors", "p99", "Requests", "Threads busy", "Waiting"]
    assert len(browser.texts("#charts canvas")) == 9
    assert len(browser.texts("#workers tbody tr")) == 2
    assert any("/hello" in row for row in browser.texts("#routes tbody th"))
    assert browser.complaints() == []


def first_opening(browser: Browser, server: Server) -> tuple[int, int]:
    """Open the page with an empty cache -> ms until its first paint, and until everything is shown."""
    browser.cdp("Network.clearBrowserCache")
    browser.open(url_of(server.address))
    complete = browser.with_page(
        """
        const { model, history } = page;
        const complete = () => model.raw && model.workers.size && model.jobs.size && model.routes.length
          && history.length && page.frames.isDone && document.querySelector("#routes tbody tr");
        while (!complete()) await new Promise((next) => setTimeout(next, 5));
        return performance.now();
        """
    )
    painted = browser.run("return performance.getEntriesByName('first-contentful-paint')[0].startTime")
    return round(painted), round(complete)


def test_nothing_is_fetched_twice(browser: Browser, daemon: JobsDaemon) -> None:
    """A second visit takes the files from the browser's cache, and the page itself is unchanged (304)."""
    open_page(browser, daemon)
    before = daemon.counted()
    open_page(browser, daemon)
    after = daemon.counted()
    assert after.get(("/static/{name}", 200), 0) == before.get(("/static/{name}", 200), 0) > 0
    assert after[("/", 304)] == before.get(("/", 304), 0) + 1


def test_numbers_move_with_load(browser: Browser, daemon: JobsDaemon) -> None:
    """Requests, errors of both kinds, the routes that they went to, and the charts."""
    open_page(browser, daemon)
    sums = "{} requests", "5xx {}", "4xx {}"
    requests, server, client = (total(browser, form) for form in sums)
    ask(daemon, "/hello", 300)
    ask(daemon, "/no/such/path", 20)
    ask(daemon, "/boom", 10)
    until(lambda: total(browser) >= requests + 330, "requests are shown")
    until(lambda: total(browser, sums[1]) == server + 10, "errors of the server are shown")
    until(lambda: total(browser, sums[2]) == client + 20, "those of clients apart")
    until(
        lambda: any(row.startswith("/boom") and "100 %" in row for row in rows(browser, "routes")),
        "by route",
    )
    rate = "return page.history.at('{}', page.history.length - 1)"
    until(lambda: (browser.with_page(rate.format("requests_per_second")) or 0) > 10, "the chart has a point of it")
    assert browser.with_page("return page.timeline.window()[1] === page.history.time(page.history.length - 1)")
    assert browser.complaints() == []


def rows(browser: Browser, table: str) -> list[str]:
    return [row.replace("\t", " ") for row in browser.texts(f"#{table} tbody tr")]


def cancel_first(browser: Browser) -> None:
    """The job in the first row, and mean it."""
    browser.click("#jobs tbody tr button:not([hidden])")
    browser.click("dialog .danger")


def test_routes_are_sorted_and_filtered(browser: Browser, daemon: JobsDaemon) -> None:
    """By header buttons, which say so to all, and by a text field."""
    for path in ("/hello", "/items/1", "/items/2"):
        ask(daemon, path, 3)
    open_page(browser, daemon)
    heads = "#routes thead th"
    until(lambda: len(rows(browser, "routes")) >= 3, "routes are shown")
    sorting = f"return [...document.querySelectorAll('{heads}')].map((head) => head.getAttribute('aria-sort'))"
    assert [way for way in browser.run(sorting) if way] == ["descending"]
    browser.click(f"{heads}:first-child button")
    until(lambda: browser.run(sorting)[0] == "ascending", "it says so")
    names = "#routes tbody th"  # others may come meanwhile, and some are older than a minute then
    until(lambda: (found := browser.texts(names)) == sorted(found), "by name")
    browser.click(f"{heads}:first-child button")
    until(lambda: (found := browser.texts(names)) == sorted(found, reverse=True), "the other way")
    browser.driver.find_element("css selector", "#routes input").send_keys("ITEMS")
    until(lambda: browser.texts("#routes tbody th") == ["/items/{number}"], "what is left of them")
    browser.driver.find_element("css selector", "#routes input").send_keys("nothing")
    browser.wait_text("#routes .empty", "No route has")


def test_a_killed_worker_is_seen_to_be_replaced(browser: Browser, daemon: JobsDaemon) -> None:
    """The dead one is shown as gone, the new one marked, and what the dead one was doing is told."""
    open_page(browser, daemon)
    until(lambda: len(rows(browser, "workers")) == 2, "both workers are shown")
    hanging = Asking(daemon.address, "/slow/dashboard?s=600")
    until(lambda: any("/slow/dashboard" in row for row in rows(browser, "workers")), "what a thread serves")
    row = next(row for row in rows(browser, "workers") if "/slow/dashboard" in row)
    pid = row.split(" ")[0]
    os.kill(int(pid), signal.SIGKILL)
    assert isinstance(hanging.wait(), OSError)
    until(lambda: any(row.startswith(pid) and "gone" in row for row in rows(browser, "workers")), "it is gone")
    until(lambda: any("new" in row for row in rows(browser, "workers")), "another one is new")
    browser.wait_text("#workers .aside", "2 alive · gthread · 1 restart")
    browser.wait_text("#events", f"worker {pid} died")
    browser.wait_text("#events", "GET /slow/dashboard")
    assert browser.complaints() == []


def test_it_comes_back_when_the_aggregator_was_killed(browser: Browser, daemon: JobsDaemon) -> None:
    """The loss is told, nobody reloads anything, and the numbers move again."""
    open_page(browser, daemon)
    (aggregator,) = daemon.pids("aggregator")
    browser.run(
        "window.states = []; new MutationObserver(() => states.push(document.querySelector('#connection').innerText))"
        ".observe(document.querySelector('#connection'), { subtree: true, characterData: true, attributes: true })"
    )
    os.kill(aggregator, signal.SIGKILL)
    until(lambda: any("Reconnecting" in state for state in browser.run("return states")), "the loss is told")
    wait_live(browser, 20)
    requests = total(browser)
    ask(daemon, "/hello", 100)
    until(lambda: total(browser) >= requests + 100, "numbers move again", 20)
    others = [each for each in browser.complaints() if "/ws" not in each]
    assert others == [], "beside the attempts that failed"


def test_charts_are_used_by_pointer_and_keys(browser: Browser, daemon: JobsDaemon) -> None:
    """One cursor for all, zoom by dragging and by keys, pause, and a table of each chart."""
    until(lambda: len(daemon.get("/api/v1/history").json()["points"]) > 3, "there is a history")
    open_page(browser, daemon)
    browser.click("#spans button:first-child")
    browser.run("document.querySelector('canvas').scrollIntoView({ block: 'center' })")
    box = browser.run("const b = document.querySelector('canvas').getBoundingClientRect(); return [b.x, b.y, b.width]")

    def mouse(kind: str, x: float, **more: Any) -> None:
        browser.cdp("Input.dispatchMouseEvent", type=kind, x=box[0] + x, y=box[1] + 60, **more)

    mouse("mouseMoved", box[2] - 40)
    browser.wait_text("#cursor", "at ")
    mouse("mousePressed", box[2] - 120, button="left", clickCount=1)
    mouse("mouseMoved", box[2] - 40, button="left", buttons=1)
    mouse("mouseReleased", box[2] - 40, button="left", clickCount=1)
    browser.wait_text("#charts-title", " to ")
    assert browser.with_page("return page.timeline.zoom[1] - page.timeline.zoom[0] < 30")
    browser.click("#reset")
    browser.wait_text("#charts-title", "Last minute")
    browser.run("document.querySelector('canvas').focus()")
    keys = browser.driver.switch_to.active_element
    keys.send_keys("\ue012\ue012")  # arrow left, twice
    until(lambda: "requests/s" in (keys.get_attribute("aria-valuetext") or ""), "values are told")
    keys.send_keys("+")
    browser.wait_text("#charts-title", " to ")
    keys.send_keys("\ue00c")  # escape
    browser.wait_text("#charts-title", "Last minute")
    keys.send_keys("p")
    browser.wait_text("#pause", "Resume")
    shown = total(browser)
    ask(daemon, "/hello", 50)
    handled = "return page.model.raw.http_requests"
    until(lambda: browser.with_page(handled) > shown + 49, "messages go on")
    assert total(browser) == shown
    browser.click("#pause")
    until(lambda: total(browser) > shown + 49, "and are shown again")
    for chart in ("Requests", "Latency heat map"):
        browser.click(f'[aria-label="{chart} as a table"]')
        until(lambda: len(browser.texts(f'[aria-label="{chart} chart, table"] tbody tr')) > 0, f"{chart} as a table")  # noqa: B023
    assert browser.complaints() == []


def test_cancelling_is_not_offered_where_it_is_forbidden(browser: Browser, tmp_path: Path) -> None:
    """The first refusal is explained, and all buttons go: other machines reach it, and there is no token to ask for."""
    with JobsDaemon(tmp_path, KINDS, interval=0.5, bind="0.0.0.0:0", allow_public="true") as server:
        address = "127.0.0.1", int(server.address[1])
        job = {"kind": "count", "params": {"pause": "1"}}
        with Connection(server.admin_address) as connection:
            assert post(connection, "/jobs/submit", job).status == 202
        browser.size(1366, 768)
        browser.open(url_of(address))
        until(lambda: any("running" in row for row in rows(browser, "jobs")), "it is shown")
        cancel_first(browser)
        browser.wait_text("#jobs .note", "hvd token new")
        buttons = "return document.querySelectorAll('#jobs tbody button:not([hidden])').length"
        until(lambda: browser.run(buttons) == 0, "all buttons are gone")
        assert [each for each in browser.complaints() if "403" not in each] == []


def test_it_asks_for_a_token_and_keeps_it_for_the_tab(browser: Browser, tmp_path: Path) -> None:
    """Until it has one that will do: for figures, for the WebSocket, for a change; and once more when it is revoked. It
    is in no address that the page asks for, and a reload of the tab needs none.
    """
    tokens, secret = tmp_path / "state" / "tokens", "jobs/0123456789=("
    add_token(tokens, Token("watch", Scope.READ, digest_of("read-0123456789")))
    add_token(tokens, Token("work", Scope.JOBS, digest_of(secret)))
    with JobsDaemon(tmp_path, KINDS, interval=0.5, reads="token") as server:

        def give(text: str) -> None:
            browser.run("document.querySelector('#token input').value = arguments[0]", text)
            browser.click("#token button")

        with Connection(server.address) as connection:
            head = {"Authorization": f"Bearer {secret}"}
            answer = post(connection, "/jobs/submit", {"kind": "count", "params": {"pause": "1"}}, **head)
        browser.size(1366, 768)
        browser.open(url_of(server.address))
        browser.wait_text("#token p", "asks for a token")
        give("wrong-0123456789")
        browser.wait_text("#token p", "refused this token")
        give("read-0123456789")
        browser.wait_text("#connection", "Live")
        until(lambda: any("running" in row for row in rows(browser, "jobs")), "the job is shown")
        assert browser.run("return document.querySelector('#token').hidden")
        cancel_first(browser)
        browser.wait_text("#token p", "another scope")
        give(secret)
        until(
            lambda: browser.run("return document.querySelectorAll('#jobs tbody button:not([hidden])').length"), "again"
        )
        cancel_first(browser)
        (job_id,) = answer.json()["job_ids"]
        until(lambda: server.get(f"/jobs/{job_id}", **head).json()["status"] == "cancelled", "it is cancelled")
        browser.run("location.hash = arguments[0]", f"#job={job_id}")
        browser.wait_text("#panel .job-state", "cancelled")
        browser.click("#panel .buttons button:not([hidden])")
        until(lambda: job_id not in browser.driver.current_url, "it is retried")
        browser.driver.refresh()
        browser.wait_text("#connection", "Live")
        asked = browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
        assert not [url for url in [*asked, browser.driver.current_url] if "0123456789" in url]
        remove_token(tokens, "work")
        server.signal(signal.SIGHUP)
        browser.wait_text("#token p", "refused this token", 30)
        # which a browser tells on its console; so it does of a socket that is closed while it opens, or that could not
        # be handed over in time
        refusals = (
            "401",
            "403",
            "HTTP Authentication failed",
            "closed before the connection is established",
            "code: 503",
        )
        assert [line for line in browser.complaints() if not any(words in line for words in refusals)] == []


@pytest.mark.parametrize("proxy", PROXIES.values(), ids=PROXIES)
def test_it_works_under_a_path_behind_a_proxy(
    browser: Browser, daemon: JobsDaemon, tmp_path: Path, proxy: type[Proxy]
) -> None:
    """All that the page asks for is relative to it: files, answers, the WebSocket, the end of a job."""
    with proxy(tmp_path, daemon.address, daemon.admin_address, prefixed=True) as front:
        job = daemon.submit("count", pause="1")[0]
        browser.size(1366, 768)
        browser.open(front.url)  # the proxy adds the slash
        wait_live(browser)
        assert browser.driver.current_url.endswith("/hvd/")
        until(lambda: any("running" in row for row in rows(browser, "jobs")), "the job is shown")
        cancel_first(browser)
        assert daemon.wait_status(job, "cancelled")
        assert browser.complaints() == []
        browser.open("about:blank")
        assert "[error]" not in front.log


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(browser: Browser, daemon: JobsDaemon, scheme: str) -> None:
    """axe-core finds nothing: not with everything on the page, on a phone, as tables, or stale."""
    daemon.submit("count", pause="1")
    daemon.submit("fail")
    ask(daemon, "/boom", 3)
    open_page(browser, daemon)
    browser.size(1366, 768, scheme=scheme)
    until(lambda: any("running" in row for row in rows(browser, "jobs")), "a job runs")
    assert browser.accessibility() == []
    browser.size(360, 800, scheme=scheme, ratio=2)
    for button in browser.driver.find_elements("css selector", "#charts header button")[:4]:
        browser.run("arguments[0].click()", button)
    until(lambda: browser.run("return !document.querySelector('#charts .scroll').hidden"), "tables are shown")
    assert browser.run("return document.documentElement.scrollWidth") == 360, "nothing sticks out"
    browser.with_page("page.socket.close(); page.contact.numbersAt -= 60; page.contact.check(); page.frames.finish()")
    assert browser.run("return document.body.hasAttribute('data-stale')")
    assert browser.accessibility() == []
