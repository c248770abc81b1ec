"""Marks of what happened, and spans that are sent to others, on the page in a real Chromium, of a real daemon."""

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hvd import __version__
from tests.support.browser import Browser, url_of
from tests.support.http import Asking
from tests.support.server import ROOT, Server, upgradable
from tests.support.waiting import PATIENCE, until

APP = """\
import os

if os.path.exists("broken"):
    os._exit(9)
from tests.support.app import app
"""
RELEASE = """\
from pathlib import Path

import hvd

if (file := Path(__file__).with_name("version")).exists():
    hvd.__version__ = file.read_text()
"""
MARK = """
const { plot } = page.charts.cards[0].view;
const mark = plot.marking.marks.find(({ events }) => events.some(({ text }) => text.includes("WHICH")));
const box = plot.canvas.getBoundingClientRect();
const x = Math.min(Math.max(mark?.left, plot.left + 6), plot.right - 6);
return mark ? [box.x + x, box.y + plot.top - 8] : null;
"""
BUSY = """
return [...page.model.workers.values()].find(({ data }) => data.busy.some(({ path }) => path.includes("marks")))?.pid
"""
TIPS = """
return [...document.querySelectorAll(".tip")].filter((tip) => tip.checkVisibility()).map((tip) => tip.innerText).join()
"""
SHAPES = """
const rows = [...document.querySelectorAll("#events li")];
const shape = (row) => row.querySelector("path").getAttribute("d");
return Object.fromEntries(rows.map((row) => [row.querySelector("b").innerText, shape(row)]));
"""
NO_CLIPBOARD = """
Object.defineProperty(navigator, "clipboard", { value: undefined });
document.execCommand = () => false;
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("daemon")
    (folder / "shop.py").write_text(APP)
    with Server(folder, app="shop:app", workers=2, interval=0.5) as server:
        yield server


def open_page(browser: Browser, server: Server, fragment: str = "") -> None:
    browser.size(1366, 768)
    browser.open(url_of(server.address) + fragment)
    browser.wait_text("#connection", "Live")
    until(lambda: browser.with_page("return page.history.length"), "there is a history")


def mouse(browser: Browser, kind: str, at: list[float], **more: Any) -> None:
    browser.cdp("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], **more)


def point_at(browser: Browser, which: str) -> list[float]:
    """Move the pointer to the mark of an event on the first chart, by its glyph -> where it is."""
    browser.run("document.querySelector('canvas').scrollIntoView({ block: 'center' })")
    at: list[float] = until(lambda: browser.with_page(MARK.replace("WHICH", which)), f"a mark of {which}")
    mouse(browser, "mouseMoved", at)
    return at


def test_a_death_is_marked_listed_and_told(browser: Browser, server: Server) -> None:
    """With cause and memory, and the request that was lost; in a panel that has an address. So is a reload."""
    open_page(browser, server)
    browser.wait_text("#events ul", "Start")
    hanging = Asking(server.address, "/slow/marks?s=600")
    pid = until(lambda: browser.with_page(BUSY), "a worker serves it")
    os.kill(pid, signal.SIGKILL)
    assert isinstance(hanging.wait(), OSError)
    row = browser.wait_text("#events li:first-child", f"worker {pid} died (SIGKILL)")
    until(lambda: "GET /slow/marks" in browser.text("#events li:first-child"), "what it was serving")
    assert "ago" in row or "now" in row
    browser.wait_text("#events .aside", "1 unplanned, 0 failed boots")

    browser.click("#spans button:first-child")
    point_at(browser, f"worker {pid}")
    told = until(lambda: browser.run(TIPS), "it is told")
    assert f"worker {pid} died (SIGKILL)" in told
    assert "UTC" in told
    at = point_at(browser, f"worker {pid}")
    for kind in ("mousePressed", "mouseReleased"):
        mouse(browser, kind, at, button="left", clickCount=1)
    text = browser.wait_text("#panel", "Requests lost")
    for part in (f"worker, pid {pid}", "SIGKILL", "Memory", "GET /slow/marks"):
        assert part in text
    fragment = browser.run("return location.hash")
    assert fragment.startswith("#event=")
    browser.driver.switch_to.active_element.send_keys("\ue00c")  # escape
    until(lambda: browser.run("return location.hash") == "", "the panel is closed")
    open_page(browser, server, fragment)
    browser.wait_text("#panel", f"worker {pid} died")
    assert browser.complaints() == []


def see_chart(browser: Browser, number: int) -> str:
    """Scroll to it: it is drawn only where it is seen -> its marking, in JavaScript."""
    card = f"page.charts.cards[{number}].view.plot"
    browser.with_page(f"{card}.canvas.scrollIntoView({{ block: 'center' }})")
    return f"{card}.marking"


@contextmanager
def no_boot(server: Server) -> Iterator[None]:
    """All workers are killed, and no other one can boot meanwhile; in the end they do."""
    broken = server.folder / "broken"
    broken.touch()
    try:
        for pid in server.pids("worker"):
            os.kill(pid, signal.SIGKILL)
        yield
    finally:
        broken.unlink()
        until(lambda: len(server.pids("worker")) == 2 and server.get("/health").status == 200, "workers boot again", 30)


def test_a_reload_failed_boots_and_alerts_are_marked(browser: Browser, server: Server) -> None:
    """Each by a glyph of its own; keys lead to them, too, and say so to who can't see it."""
    open_page(browser, server)
    server.reload()
    browser.wait_text("#events ul", "Reload")
    browser.run("document.querySelector('canvas').focus()")
    canvas = browser.driver.switch_to.active_element
    canvas.send_keys("m")
    until(lambda: "reload" in (canvas.get_attribute("aria-valuetext") or "").lower(), "the newest mark is told")
    canvas.send_keys("\ue007")  # enter
    browser.wait_text("#panel h2", "Reload")

    with no_boot(server):
        browser.wait_text("#events ul", "failed to boot")
        browser.wait_text("#events ul", "Alert")
        marking = see_chart(browser, 0)
        until(lambda: browser.with_page(f"return {marking}.spans.length") == 1, "the alert is a span of the charts")
    kinds = {"Start", "Reload", "Death", "Failed boot", "Alert"}
    shapes = until(lambda: kinds <= (shapes := browser.run(SHAPES)).keys() and shapes, "each kind is listed")
    assert len(set(shapes.values())) == len(shapes)
    for number in range(browser.with_page("return page.charts.cards.length")):
        drawn = f"return {see_chart(browser, number)}.marks.flatMap(({{ events }}) => events).length"
        until(
            lambda: browser.with_page(drawn) == len(browser.texts("#events li")),  # noqa: B023
            f"chart {number} has all of them",
        )
    assert browser.complaints() == []


def test_a_stop_an_upgrade_and_other_versions_are_marked(browser: Browser, tmp_path: Path) -> None:
    """By `hvd upgrade` to another version, seen by a page that stays open; and by a start of yet another one."""
    (tmp_path / "sitecustomize.py").write_text(RELEASE)
    environ = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    with upgradable(Server(tmp_path, workers=1, interval=0.5, keep_totals=True, environ=environ)) as server:
        open_page(browser, server)
        (tmp_path / "version").write_text("0.9.1")
        command = (sys.executable, "-m", "hvd", "upgrade", "--instance", server.instance, "--wait", str(60 * PATIENCE))
        subprocess.run(command, check=True, timeout=90 * PATIENCE, stdout=subprocess.DEVNULL)
        browser.wait_text("#events ul", f"upgrade from hvd {__version__} to hvd 0.9.1", 30)
        point_at(browser, "upgrade from")
        until(lambda: "to hvd 0.9.1" in browser.run(TIPS), "its mark tells it")

        server.stop_successor()
        server.wait()  # the first master
        (tmp_path / "version").write_text("0.9.2")
        server.start()
        open_page(browser, server)
        browser.wait_text("#events ul", "hvd is 0.9.2 now, and was 0.9.1 before this start")
        shapes = browser.run(SHAPES)
        assert {"Start", "Stop", "Upgrade", "Version"} <= shapes.keys()
        assert len(set(shapes.values())) == len(shapes)
        point_at(browser, "hvd is 0.9.2 now")
        until(lambda: "hvd is 0.9.2 now" in browser.run(TIPS), "its mark tells it")
        browser.click("#events li:first-child a")
        browser.wait_text("#panel", "0.9.2")
        assert [line for line in browser.complaints() if "/ws" not in line] == []


def test_a_span_has_a_link(browser: Browser, server: Server) -> None:
    """A zoom is in the address, and the address leads to its span; where the daemon has none of it, it says so."""
    open_page(browser, server)
    browser.run("document.querySelector('canvas').focus()")
    browser.driver.switch_to.active_element.send_keys("+")
    until(lambda: browser.run("return location.hash").startswith("#from="), "the zoom is in the address")
    fragment = browser.run("return location.hash")
    open_page(browser, server, fragment)
    shown = browser.with_page("return page.timeline.zoom")
    assert fragment == f"#from={shown[0]}&to={shown[1]}"
    browser.wait_text("#charts-title", " to ")
    browser.click("#reset")
    until(lambda: browser.run("return location.hash") == "", "no span in particular")
    browser.run("history.back()")
    until(lambda: browser.with_page("return page.timeline.zoom") == shown, "back leads to the span")
    open_page(browser, server, "#from=1000&to=2000")
    browser.wait_text("#lack", "The daemon has no points of this span any more: it keeps those from")
    assert browser.complaints() == []


def test_a_span_is_copied_and_saved(browser: Browser, server: Server, tmp_path: Path) -> None:
    """As a link, as text, as CSV; as a file."""
    browser.cdp("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    browser.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    open_page(browser, server)
    browser.click("#pause")
    link, text, table = (copied(browser, number) for number in (1, 2, 3))
    assert link.startswith(f"{url_of(server.address)}#from=")
    assert link in text
    assert "Latency, p99" in text
    assert "Start: " in text
    rows = list(csv.DictReader(table.splitlines()))
    assert len(rows) == browser.with_page("return page.history.ring.first('time', page.timeline.window()[1] + 1e-3)")
    assert abs(datetime.fromisoformat(rows[-1]["time"]).timestamp() - datetime.now(UTC).timestamp()) < 600
    assert {"requests_per_second", "p99", "server_error_rate", "client_error_rate"} <= rows[0].keys()
    browser.click("#copies button:nth-child(4)")
    saved = until(lambda: next(tmp_path.glob("hvd-*.csv"), None), "it is saved")
    until(lambda: saved.read_text().splitlines() == table.splitlines(), "it is the same")
    assert browser.complaints() == []


def copied(browser: Browser, number: int) -> str:
    """What is on the clipboard after a click on that button of the span's copies."""
    browser.run("document.querySelector('.copied').replaceChildren()")
    browser.click(f"#copies button:nth-child({number})")
    browser.wait_text(".copied", "copied.")
    text: str = browser.with_page("return navigator.clipboard.readText()")
    return text


def test_where_no_page_may_copy_the_text_is_shown(browser: Browser, server: Server) -> None:
    """Selected, so that two keys copy it: a page without TLS has no clipboard."""
    open_page(browser, server)
    browser.run(NO_CLIPBOARD)
    browser.click("#copies button:first-child")
    browser.wait_text(".copied", "press Ctrl+C")
    assert "#from=" in browser.run("return getSelection().toString() || document.activeElement.value")
    browser.click(".copied button")
    assert browser.text(".copied") == ""
