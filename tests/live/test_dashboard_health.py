"""The dashboard's badge in a real Chromium: what it says while parts of the daemon are stuck, stopped, or dead."""

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.browser import Browser, url_of
from tests.support.nginx import Nginx
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
    assert re.fullmatch(rf"\S {state} \u2013 127\.0\.0\.1:\d+ \u2013 hvd", browser.driver.title)
    icon = "return document.querySelector('link[rel=icon]').href"
    module = "document.querySelector('link[rel=modulepreload][href*=icon]').href"
    assert browser.run(icon) == browser.run(f"return import({module}).then(({{ iconOf }}) => iconOf('{state}'))")


def test_a_daemon_that_is_killed_is_unreachable_until_it_is_back(browser: Browser, tmp_path: Path) -> None:
    """At once, in badge, title and icon, with what was heard last; nobody reloads anything."""
    address = free_address()
    with Server(tmp_path, bind=address, workers=2, interval=INTERVAL) as server:
        open_page(browser, server)
        server.kill_master()
        wait_state(browser, "unreachable", 8)
        assert "Neither the WebSocket nor HTTP answers" in browser.text(REASONS)
        # its workers still answer for a moment, while they end
        assert re.search("It was (healthy|degraded) when last heard", browser.text(REASONS))
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
        assert "has not answered within 3 s" in browser.text(REASONS)
        assert states(browser) == ["unknown", "unreachable"]
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
            time.sleep(3)  # its socket is given up meanwhile, and tried anew
            assert states(browser) == ["degraded"]
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


class NginxWithoutSockets(Nginx):
    """nginx that passes HTTP on, and refuses every WebSocket."""

    def _write_site(self) -> None:
        super()._write_site()
        path = self.folder / "site.conf"
        site, count = re.subn(r"location = /ws \{", "location = /ws { return 403;", path.read_text())
        assert count == 1, "the site has a location for /ws"
        path.write_text(site)


def test_numbers_come_over_http_where_no_socket_opens(browser: Browser, tmp_path: Path) -> None:
    """Healthy, with numbers that move; and once nginx reaches no daemon, it is no longer."""
    with (
        Server(tmp_path, workers=2, interval=INTERVAL) as server,
        NginxWithoutSockets(tmp_path, server.address) as nginx,
    ):
        browser.size(1440, 900)
        browser.open(url_of(nginx.address))
        wait_state(browser, "healthy")
        shown = "return Number(document.querySelector('#tiles .value').innerText.replaceAll(',', ''))"
        before = browser.run(shown)
        with server.connection() as connection:
            for _ in range(100):
                connection.get("/hello")
        until(lambda: browser.run(shown) >= before + 100, "the tiles follow", 10)
        assert "Reconnecting" in browser.text("#connection")
        asked = "return performance.getEntriesByType('resource').filter(({{ name }}) => name.endsWith('{}')).length"
        counts = [browser.run(asked.format("/health")) for _ in range(2)]
        time.sleep(6)
        counts.append(browser.run(asked.format("/health")))
        assert 2 <= counts[2] - counts[1] <= 4, "every two seconds"
        server.kill_master()
        wait_state(browser, "unreachable", 10)
        assert "is 502, and not from the daemon" in browser.text(REASONS)
        browser.open("about:blank")


@pytest.mark.parametrize(("width", "height"), [(360, 800), (1440, 900)])
def test_nothing_moves_when_a_reason_comes(browser: Browser, tmp_path: Path, width: int, height: int) -> None:
    """The browser's own measure: no element that is seen has changed its place; and the change is told once."""
    with Server(tmp_path, workers=2, interval=INTERVAL) as server:
        open_page(browser, server)
        browser.size(width, height)
        (aggregator,) = server.pids("aggregator")
        with server.connection() as connection:
            connection.get("/hello")
        time.sleep(1)  # the page takes its new width
        browser.run(
            "window.shifts = []; window.told = [];"
            "new PerformanceObserver((list) => list.getEntries().forEach((entry) => shifts.push(...entry.sources.map("
            "({ node }) => node?.outerHTML?.slice(0, 100) ?? `${node?.data}`)))).observe({ type: 'layout-shift' });"
            "const told = document.querySelector('#announcement');"
            "new MutationObserver(() => window.told.push(told.innerText))"
            ".observe(told, { subtree: true, characterData: true })"
        )
        with stopped(server.pid):
            os.kill(aggregator, signal.SIGKILL)
            wait_state(browser, "degraded")
            time.sleep(3)
        wait_state(browser, "healthy", 20)
        assert browser.run("return shifts") == []
        announcements = browser.run("return told")
        assert [text.split(".")[0] for text in announcements] in (
            ["The daemon is degraded", "The daemon is healthy"],
            ["The daemon is degraded", "The daemon is starting", "The daemon is healthy"],
        )
        assert "aggregator away" in announcements[0] or "is stopped" in announcements[0], "whatever was seen first"
