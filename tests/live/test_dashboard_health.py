"""The dashboard's badge in a real Chromium: what it says while parts of the daemon are stuck, stopped, or dead."""

import os
import re
import signal
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import pytest

from tests.support.browser import Browser, url_of
from tests.support.http import Asking
from tests.support.proxies import Nginx
from tests.support.server import Server, stopped
from tests.support.waiting import until

BADGE, REASONS = "#health .word", "#reasons"
INTERVAL = 0.5
SECONDS_TO_DOUBT = (
    3.5 + 2
)  # of silence on a socket that is open, until HTTP is asked; the page takes 2 s as an interval at least
SECONDS_TO_UNREACHABLE = 3.5 + 3 + 2  # and until that has not answered


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


def free_address() -> str:
    """A port that nobody listens at, for a daemon that has to come back at the same one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def open_page(browser: Browser, server: Server) -> None:
    """The page, live; from then on it notes each state that its title says, and when, in ms."""
    browser.size(1440, 900)
    browser.open(url_of(server.address))
    browser.wait_text("#connection", "Live")
    wait_state(browser, "healthy")
    browser.run(
        "window.states = []; const title = document.querySelector('title');"
        "new MutationObserver(() => states.push([title.text.split(' ')[1], performance.now()]))"
        ".observe(title, { childList: true })"
    )


def states(browser: Browser) -> list[str]:
    """All states since the page was opened, in order."""
    return [state for state, _ in browser.run("return states")]


def wait_state(browser: Browser, state: str, seconds: float = 15) -> None:
    """Until the badge says so; title and icon do as well."""
    browser.wait_text(BADGE, state.capitalize(), seconds)
    title = re.compile(rf"\S {state} \u2013 127\.0\.0\.1:\d+ \u2013 hvd")
    until(lambda: title.fullmatch(browser.driver.title) is not None, f"the title says {state}")
    icon = "return document.querySelector('link[rel=icon]').href"
    module = "document.querySelector('link[rel=modulepreload][href*=icon]').href"
    icon_of = f"return import({module}).then(({{ iconOf }}) => iconOf('{state}'))"
    until(lambda: browser.run(icon) == browser.run(icon_of), f"the icon is that of {state}")


def wait_change(browser: Browser, selector: str) -> None:
    """Until the element says something else: its time has gone on."""
    text = browser.text(selector)
    until(lambda: browser.text(selector) != text, f"{selector} says something else")


def asked_health(browser: Browser) -> list[float]:
    """When the page has asked for /health since it was opened, in ms."""
    entries = "performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/health'))"
    times: list[float] = browser.run(f"return {entries}.map(({{ startTime }}) => startTime)")
    return times


def test_a_daemon_that_is_killed_is_unreachable_until_it_is_back(browser: Browser, tmp_path: Path) -> None:
    """At once, in badge, title and icon, with what was heard last; nobody reloads anything."""
    address = free_address()
    with Server(tmp_path, bind=address, workers=2, interval=INTERVAL) as server:
        open_page(browser, server)
        server.kill_master()
        wait_state(browser, "unreachable", 8)
        reasons = browser.wait_text(REASONS, "No answer, by WebSocket or HTTP")
        # its workers still answer for a moment, while they end
        assert re.search(r"Last heard at .*: (healthy|degraded)\.", reasons)
        until(lambda: browser.run("return document.body.hasAttribute('data-stale')"), "its numbers are marked as old")
        assert browser.accessibility() == []
        until(lambda: not server.processes(), "all of it is gone")
        server.start()
        wait_state(browser, "healthy", 20)
        browser.wait_text("#connection", "Live", 20)
        assert not browser.run("return document.body.hasAttribute('data-stale')")


def test_a_daemon_that_stands_still_is_never_healthy(browser: Browser, tmp_path: Path) -> None:
    """All of it is stopped: connections are accepted by the kernel, and nothing comes."""
    with Server(tmp_path, workers=2, interval=INTERVAL) as server, ExitStack() as still:
        open_page(browser, server)
        for process in server.processes():
            still.enter_context(stopped(process.pid))
        wait_state(browser, "unreachable", SECONDS_TO_UNREACHABLE)
        browser.wait_text(REASONS, "has not answered within 3 s")
        seen = states(browser)
        assert seen[-2:] == ["unknown", "unreachable"], seen
        assert "healthy" not in seen, seen
        still.close()
        wait_state(browser, "healthy", 20)


def test_an_aggregator_that_is_stopped_is_not_healthy(browser: Browser, tmp_path: Path) -> None:
    """The socket is open and says nothing; HTTP tells why, and goes on bringing numbers."""
    with Server(tmp_path, workers=2, interval=INTERVAL) as server:
        open_page(browser, server)
        (aggregator,) = server.pids("aggregator")
        with stopped(server.pid), stopped(aggregator):  # the master too, which would replace it
            browser.wait_text(REASONS, "aggregator away", SECONDS_TO_DOUBT)
            wait_state(browser, "degraded")
            requests = "return page.model.raw.http_requests"
            before = browser.with_page(requests)
            until(lambda: browser.with_page(requests) >= before + 4, "the page's own questions are requests", 8)
            browser.wait_text("#connection", "Reconnecting", 20)  # its socket is given up
            assert not {"healthy", "unreachable"} & set(states(browser))
            assert not browser.run("return document.body.hasAttribute('data-stale')")
        wait_state(browser, "healthy", 20)
        browser.wait_text("#connection", "Live", 20)


def test_an_aggregator_that_is_killed_is_seen_at_once(browser: Browser, tmp_path: Path) -> None:
    """While the master is busy elsewhere and does not replace it; then it does."""
    with Server(tmp_path, workers=2, interval=INTERVAL) as server:
        open_page(browser, server)
        (aggregator,) = server.pids("aggregator")
        with stopped(server.pid):
            os.kill(aggregator, signal.SIGKILL)
            browser.wait_text(REASONS, "aggregator away", 3)
            wait_state(browser, "degraded")
        wait_state(browser, "healthy", 20)
        browser.wait_text("#connection", "Live", 20)


def figures(browser: Browser) -> dict[str, str]:
    """All that each figure of the page says, by its name."""
    return {text.split("\n")[0]: text for text in browser.texts("#now dl > div:not([hidden])")}


def ask_slowly(server: Server, paths: Iterable[str]) -> list[Asking]:
    """Requests that last a minute, each in a thread of its own; a busy worker may keep others waiting, for ever."""
    asking: list[Asking] = []

    def is_one_more(before: int) -> bool:
        return sum(path.startswith("/slow/") for path in server.in_progress()) > before

    for number, path in enumerate(paths):
        for _ in range(20):
            asking.append(Asking(server.address, f"/slow/{path}?s=60"))
            with suppress(AssertionError):
                until(partial(is_one_more, number), "it is in progress", 0.5)
                break
    assert is_one_more(number)
    return asking


def rows(browser: Browser) -> list[str]:
    return [row.replace("\n", " ") for row in browser.texts("#longest .scroll > ol > li")]


def test_threads_that_are_all_stuck_are_a_reason_and_a_list(browser: Browser, tmp_path: Path) -> None:
    """With the paths as text, whatever is in them; a page opened meanwhile at the admin address shows the same."""
    with Server(tmp_path, workers=2, threads=2, interval=INTERVAL, admin_bind="127.0.0.1:0") as server:
        open_page(browser, server)
        browser.wait_text("#longest .empty", "No request is in progress.")
        asking = ask_slowly(server, ("a", "%3Cimg%20src=x%3E", "%E2%80%AEevil", "d" * 80))
        browser.wait_text(REASONS, "saturated: all 4 threads busy")
        wait_state(browser, "degraded")
        for address in (None, server.admin_address):
            if address:
                browser.open(url_of(address))
                wait_state(browser, "degraded", 5)
                browser.wait_text("#connection", "Live")
            until(lambda: len(rows(browser)) == 4, "all are listed")
            for part in ("GET /slow/a worker", "GET /slow/<img src=x> worker", "GET /slow/\\u{202e}evil worker"):
                assert any(part in row for row in rows(browser)), rows(browser)
            full = re.compile(r"Threads busy\n4 of 4\n.*\n▲ full since \S+")
            until(lambda: full.fullmatch(figures(browser)["Threads busy"]) is not None, "no thread is free")  # noqa: B023
            until(lambda: all("support/app.py" in row and "on_get" in row for row in rows(browser)), "where they are")
            browser.click("#longest summary")
            assert "tests/support/app.py" in browser.text("#longest details ol")
            ages = "return [...document.querySelectorAll('#longest b')].map((age) => parseInt(age.innerText))"
            before = browser.run(ages)
            until(lambda: min(browser.run(ages)) >= max(before) + 2, "they get older")  # noqa: B023
            assert browser.accessibility() == []
        assert browser.complaints() == []
        for worker in server.pids("worker"):
            os.kill(worker, signal.SIGKILL)  # or the stop would wait for them
        for each in asking:
            each.wait()
        wait_state(browser, "healthy", 20)
        browser.wait_text("#longest .empty", "No request is in progress.")


def test_without_a_worker_the_admin_address_says_so(browser: Browser, tmp_path: Path) -> None:
    """The page comes from there, whole and live, and is unhealthy; until workers live again."""
    with Server(tmp_path, workers=2, interval=INTERVAL, admin_bind="127.0.0.1:0") as server:
        until(lambda: server.snapshot()["uptime_seconds"] > 10.5, "its start is over: no worker is no trouble before")
        with stopped(server.pid):  # or it would replace them
            for worker in server.pids("worker"):
                os.kill(worker, signal.SIGKILL)
            browser.size(1440, 900)
            browser.open(url_of(server.admin_address))
            wait_state(browser, "unhealthy")
            browser.wait_text(REASONS, "no worker lives")
            browser.wait_text("#connection", "Live")
            until(lambda: figures(browser)["Workers"] == "Workers\n0 alive", "none is counted")
            browser.with_page("page.socket.close(); page.contact.connected('waiting')")  # /health answers 503 then
            number = len(asked_health(browser))
            until(lambda: len(asked_health(browser)) > number + 1, "it is asked, and once more")
            wait_state(browser, "unhealthy")
        wait_state(browser, "healthy", 20)


def test_a_long_interval_is_no_silence(browser: Browser, tmp_path: Path) -> None:
    """The page learns it from the socket, and does not give that up in between."""
    with Server(tmp_path, workers=2, interval=8) as server:
        open_page(browser, server)
        until(lambda: browser.with_page("return page.contact.interval") == 8, "it is known")
        opened = server.sample("hvd_websocket_connections_total")
        before = browser.with_page("return page.model.raw.timestamp")
        until(lambda: browser.with_page("return page.model.raw.timestamp") != before, "the next message", 20)
        assert server.sample("hvd_websocket_connections_total") == opened
        assert states(browser) == []


class NginxWithoutSockets(Nginx):
    """nginx that passes HTTP on, and refuses every WebSocket."""

    def configuration(self) -> str:
        site, count = re.subn(r"location = /ws \{", "location = /ws { return 403;", super().configuration())
        assert count == 1, "the site has a location for /ws"
        return site


def test_numbers_come_over_http_where_no_socket_opens(browser: Browser, tmp_path: Path) -> None:
    """Healthy, with numbers that move; and once nginx reaches no daemon, it is no longer."""
    with (
        Server(tmp_path, workers=2, interval=INTERVAL) as server,
        NginxWithoutSockets(tmp_path, server.address) as nginx,
    ):
        browser.size(1440, 900)
        browser.open(url_of(nginx.address))
        wait_state(browser, "healthy")

        def shown() -> int:
            return int(re.findall(r"([\d,]+) requests", browser.text("#now .print"))[0].replace(",", ""))

        before = shown()
        with server.connection() as connection:
            for _ in range(100):
                connection.get("/hello")
        until(lambda: shown() >= before + 100, "the figures follow", 10)
        browser.wait_text("#connection", "Reconnecting")
        number = len(asked_health(browser))
        until(lambda: len(asked_health(browser)) >= number + 4, "it asks again and again", 20)
        times = asked_health(browser)[number : number + 4]
        assert times[-1] - times[0] > 3 * 1500, "every two seconds"
        server.kill_master()
        wait_state(browser, "unreachable", 10)
        browser.wait_text(REASONS, "is 502, and not from the daemon")
        browser.open("about:blank")


WATCH_PLACES = """
window.shifts = [];
// down or up; numbers that are aligned right begin elsewhere with each digit, and what changes is in lists
const isRow = (node) => (node?.closest ? node : node?.parentElement)?.closest("#reasons, li, tr");
const hasMoved = ({ node, previousRect, currentRect }) => previousRect.y !== currentRect.y && !isRow(node);
const inWords = ({ node, previousRect, currentRect }) =>
  `${node?.outerHTML?.slice(0, 100) ?? node?.data} from ${previousRect.y} to ${currentRect.y}`;
new PerformanceObserver((list) => {
  for (const { sources, startTime } of list.getEntries()) {
    shifts.push(...sources.filter(hasMoved).map((source) => [startTime, inWords(source)]));
  }
}).observe({ type: "layout-shift" });
// the outage comes above all else, and moves it once
window.outages = [];
new ResizeObserver(() => outages.push(performance.now())).observe(document.querySelector("#outage"));
const isOther = ([time]) => !outages.some((at) => Math.abs(at - time) < 200);
window.others = () => shifts.filter(isOther).map(([, words]) => words);
window.told = [];
const told = document.querySelector("#announcement");
new MutationObserver(() => window.told.push(told.innerText)).observe(told, { subtree: true, characterData: true });
"""


@pytest.mark.parametrize(("width", "height"), [(360, 800), (1440, 900)])
def test_nothing_moves_when_a_reason_comes(browser: Browser, tmp_path: Path, width: int, height: int) -> None:
    """The browser's own measure: no element that is seen has changed its place, but by the outage above it; and
    each change is told once.
    """
    with Server(tmp_path, workers=2, threads=2, interval=INTERVAL) as server:
        open_page(browser, server)
        browser.size(width, height)
        until(lambda: browser.run("return innerWidth") == width, "the page takes its new width")
        browser.with_page("for (let n = 0; n < 3; n += 1) await new Promise(requestAnimationFrame)")
        browser.run(WATCH_PLACES)
        asking = ask_slowly(server, ("a", "b", "c", "d" * 80))
        browser.wait_text(REASONS, "saturated: all 4 threads busy")
        for _ in range(2):
            wait_change(browser, REASONS)
        for worker in server.pids("worker"):
            os.kill(worker, signal.SIGKILL)
        for each in asking:
            each.wait()
        browser.wait_text("#events", "died")
        wait_state(browser, "healthy")
        with stopped(server.pid):
            os.kill(server.pids("aggregator")[0], signal.SIGKILL)
            wait_state(browser, "degraded")
            for _ in range(3):
                wait_change(browser, REASONS)
        wait_state(browser, "healthy", 20)
        assert browser.run("return others()") == []
        announcements = browser.run("return told")
        assert len(announcements) == len(states(browser)), announcements
        assert re.match(r"The daemon is degraded\. (saturated|stuck): ", announcements[0]), announcements
        # whatever of the two was seen first
        assert any("aggregator away" in text or "is stopped" in text for text in announcements)
        assert announcements[-1] == "The daemon is healthy. All of its processes run."


def test_a_hidden_tab_follows(browser: Browser, tmp_path: Path) -> None:
    """Its title says what became of the daemon, though no frame is drawn."""
    with Server(tmp_path, workers=2, interval=INTERVAL) as server:
        open_page(browser, server)
        tab = browser.driver.current_window_handle
        browser.driver.switch_to.new_window("tab")

        def titles() -> list[str]:
            return [target["title"] for target in browser.cdp("Target.getTargets")["targetInfos"]]

        def says(state: str) -> bool:
            return any(f" {state} \u2013 " in title for title in titles())

        try:
            assert says("healthy")
            server.kill_master()
            until(lambda: not server.processes(), "its workers have ended, which answer as long as they can")
            until(lambda: says("unreachable"), "its title follows", 10)
        finally:
            browser.driver.close()
            browser.driver.switch_to.window(tab)
        assert states(browser)[-1] == "unreachable"


OLD = (
    *("health", "reasons", "workers_alive", "worker_threads", "worker_threads_busy", "busy_ratio", "saturated_seconds"),
    *("accept_backlog", "accept_backlog_limit", "queued_requests", "waiting_clients", "longest_requests"),
    *("p50_with_open", "p90_with_open", "p99_with_open"),
    *("last_minute", "minute_before", "http_client_errors", "http_server_errors", "ends"),
)
"""What messages of a daemon of the version before don't have."""


def test_an_older_daemon_has_dashes_for_what_it_does_not_tell(browser: Browser, tmp_path: Path) -> None:
    """During an upgrade a new page may get an old daemon's messages."""
    with Server(tmp_path, workers=2, interval=INTERVAL) as server:
        open_page(browser, server)
        browser.cut_off()
        browser.with_page(
            "const raw = structuredClone(page.model.raw);"
            f"for (const name of {list(OLD)}) delete raw[name];"
            "page.handle({ type: 'metrics', data: { raw } }); page.frames.finish();"
        )
        texts = figures(browser)
        lacking = "5xx errors", "p99", "Requests", "Threads busy", "Waiting", "Workers"
        assert [texts[name].split("\n")[1] for name in lacking] == ["\u2013"] * len(lacking)
        assert not any("undefined" in text or "NaN" in text for text in [*texts.values(), browser.text("#now")])
        assert browser.text("#longest .empty") == "This daemon does not tell which requests take longest."
        assert browser.text(BADGE) == "Healthy"
        assert browser.complaints() == []


SHOW_LONGEST = """
const stack = [
  { file: "/usr/lib/python3.11/ssl.py", line: 9, function: "read" },
  { file: "/srv/shop/orders.py", line: 12, function: "post" },
];
const request = (pid, age) => (
  { method: "GET", path: "/a", pid, slot: 1, age_seconds: age, stack, stack_age_seconds: 1 }
);
const raw = structuredClone(page.model.raw);
for (const requests of [REQUESTS]) {
  raw.longest_requests = requests;
  page.handle({ type: "metrics", data: { raw } });
  page.frames.finish();
}
return [...document.querySelectorAll("#longest details")].map((details) => [details.open, details.innerText]);
"""


def test_a_stack_that_is_opened_stays_open(browser: Browser, tmp_path: Path) -> None:
    """Its request's, wherever that moves in the list; another request that takes its row has it closed."""
    with Server(tmp_path, workers=2, interval=INTERVAL) as server:
        open_page(browser, server)
        browser.cut_off()
        first = "[request(1, 9), request(2, 5), request(3, 4)]"
        closed = browser.with_page(SHOW_LONGEST.replace("REQUESTS", first))
        assert closed == [[False, "shop/orders.py:12 in post"]] * 3
        browser.click("#longest li:nth-child(2) summary")
        shown = browser.with_page(SHOW_LONGEST.replace("REQUESTS", "[request(2, 5), request(3, 4), request(4, 2)]"))
        assert [is_open for is_open, _ in shown] == [True, False, False]
        assert "/usr/lib/python3.11/ssl.py:9 in read\n/srv/shop/orders.py:12 in post" in shown[0][1]
        assert browser.accessibility() == []
        browser.run("document.activeElement.blur(); document.querySelector('#longest summary').focus()")
        browser.driver.switch_to.active_element.send_keys(" ")
        assert not browser.run("return document.querySelector('#longest details').open"), "by keyboard"
        browser.run("document.querySelectorAll('#longest details').forEach((details) => { details.open = true; })")
        again = browser.with_page(SHOW_LONGEST.replace("REQUESTS", "[], [request(7, 1)]"))
        assert [is_open for is_open, _ in again] == [False]
