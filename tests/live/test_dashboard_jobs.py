"""The page's jobs in a real Chromium, on a real daemon: many of them, one of them, and what can be done."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from tests.support.browser import Browser, url_of
from tests.support.jobs import JobsDaemon, shell
from tests.support.server import Server
from tests.support.waiting import PATIENCE, until

COLOURED = (
    r'echo "\033[31mred\033[0m <b>$0</b>"; until [ -e "$0" ]; do echo "waits for it"; sleep 0.1; done; echo "50 %"'
)
BROKEN = 'echo "reading a.img"; echo "a.img: Input/output error" >&2; exit 3'
LONG = "nightly conversion of /srv/images/customers/europe/frankfurt/database-primary.qcow2"
SIZES = ((390, "light"), (1280, "light"), (1920, "dark"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What jobs of the kind `wait` wait for."""
    return tmp_path_factory.mktemp("gate") / "open"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, gate: Path) -> Iterator[JobsDaemon]:
    kinds: dict[str, Any] = {
        "wait": {"command": shell(COLOURED, gate), "progress": "([0-9]+) %"},
        "endless": {"command": ["sleep", "600"], "concurrency": 1},
        "single": {"command": ["sleep", "600"], "concurrency": 1},
        "queued": {"command": ["sleep", "600"], "concurrency": 1},
        "broken": {"command": shell(BROKEN)},
    }
    with JobsDaemon(tmp_path_factory.mktemp("daemon"), kinds, interval=0.5) as server:
        yield server


def open_page(browser: Browser, server: Server, fragment: str = "") -> None:
    browser.size(1280, 900)
    browser.open(url_of(server.address, f"/{fragment}"))
    browser.wait_text("#connection", "Live")


def submit(daemon: JobsDaemon, kind: str, *names: str) -> list[str]:
    answer = daemon.post("/jobs/submit", {"jobs": [{"kind": kind, "params": {}, "name": name} for name in names]})
    ids: list[str] = answer.json()["job_ids"]
    return ids


def names(browser: Browser) -> list[str]:
    return browser.run("return [...document.querySelectorAll('#jobs tbody a')].map((link) => link.textContent)") or []


def search(browser: Browser, text: str, key: str = "") -> None:
    field = browser.driver.find_element("css selector", "#jobs input")
    until(field.is_displayed, "the page has heard that there are jobs")
    field.clear()
    field.send_keys(text + key)


def choose(browser: Browser, label: str, value: str) -> None:
    option = f"#jobs select[aria-label={label}] option[value='{value}']"
    until(lambda: browser.run("return document.querySelector(arguments[0]) !== null", option), f"{value} is offered")
    browser.click(option)


def range_is(browser: Browser, text: str) -> None:
    browser.wait_text("#jobs .pager span", text.replace("-", "\N{EN DASH}"))


def test_without_jobs_the_page_says_how_to_get_one(browser: Browser, daemon: JobsDaemon, tmp_path: Path) -> None:
    """Lines to copy: a request for a kind that there is; or the declaration of one."""
    open_page(browser, daemon)
    words = browser.wait_text("#jobs .empty", "hvd jobs submit wait --wait")
    assert f"curl {url_of(daemon.address)}jobs/submit" in words
    with Server(tmp_path, workers=1) as server:
        open_page(browser, server)
        browser.wait_text("#jobs .empty", "[jobs.kinds.greet]")
        assert browser.complaints() == [], "nothing was asked for that there is not"


def test_500_jobs_are_paged_searched_and_filtered(browser: Browser, daemon: JobsDaemon) -> None:
    """What runs, what waits, what has ended, 20 at a time; by text, status and kind; and the page stays quick."""
    (job_id,) = submit(daemon, "broken", LONG)
    daemon.wait_status(job_id, "failed")
    submit(daemon, "endless", *(f"copy {number:03d}" for number in range(500)))
    open_page(browser, daemon)
    browser.wait_text("#jobs .aside", "pending")
    choose(browser, "Kind", "endless")
    range_is(browser, "1-20 of 500")
    until(lambda: names(browser)[:3] == ["copy 000", "copy 499", "copy 498"], "the one that runs is first")
    assert browser.run("return document.querySelectorAll('#jobs tbody progress:not([hidden])').length") == 1
    browser.click("#jobs .pager button:last-child")
    range_is(browser, "21-40 of 500")
    until(lambda: names(browser)[0] == "copy 480", "the page after it")
    browser.click("#jobs .pager button:nth-last-child(2)")
    range_is(browser, "1-20 of 500")
    search(browser, "COPY 10")
    range_is(browser, "1-10 of 10")
    search(browser, "frankfurt")
    browser.wait_text("#jobs .empty", "No job is like that")
    choose(browser, "Kind", "")
    until(lambda: set(names(browser)) == {LONG}, "what is searched for")
    assert "exit status 3" in browser.text("#jobs tbody .job small")
    choose(browser, "Status", "pending")
    browser.click("#jobs .empty button")
    until(lambda: len(names(browser)) == 20, "all are shown")
    page = "page.changed(true); const start = performance.now(); page.frames.finish(); return performance.now() - start"
    times = sorted(browser.with_page(page) for _ in range(20))
    print(f"all of it takes {times[10]:.1f} ms, at most {times[-1]:.1f}")
    assert times[10] < 8 * PATIENCE
    assert browser.complaints() == []


def test_the_first_page_moves_with_what_happens(browser: Browser, daemon: JobsDaemon) -> None:
    """A cancelled job makes room for the next; jobs that come are shown without being asked for."""
    first, second = submit(daemon, "single", "single 0", "single 1")
    daemon.wait_status(first, "running")
    open_page(browser, daemon)
    search(browser, "single")
    until(lambda: names(browser) == ["single 0", "single 1"], "what runs, what waits")
    browser.click("#jobs tbody tr button")
    assert "SIGTERM" in browser.wait_text("dialog", "Cancel single 0?")
    browser.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    until(lambda: not browser.text("dialog"), "it was not meant")
    assert daemon.job(first)["status"] == "running"
    browser.click("#jobs tbody tr button")
    browser.click("dialog .danger")
    until(lambda: names(browser) == ["single 1", "single 0"], "the next one runs")
    browser.wait_text("#jobs .note", "told to end")
    submit(daemon, "broken", "single broken")
    until(lambda: names(browser)[1] == "single broken", "it is there")
    browser.wait_text("#jobs tbody tr:nth-child(2) .state", "failed")
    daemon.post("/jobs/cancel", {"ids": [second]})
    until(lambda: names(browser) == ["single broken", "single 1", "single 0"], "the newest first")


def test_a_running_job_is_followed(browser: Browser, daemon: JobsDaemon, gate: Path) -> None:
    """By keyboard: its lines as they come, made harmless; no progress until it says one; its end; and back."""
    (job_id,) = submit(daemon, "wait", "waiting one")
    open_page(browser, daemon)
    until(lambda: names(browser)[:1] == ["waiting one"], "it is shown")
    browser.driver.find_element("css selector", "#jobs tbody a").send_keys(Keys.ENTER)
    assert f"red <b>{gate}</b>\nwaits for it" in browser.wait_text("#panel .output", "waits for it")
    assert f"#job={job_id}" in browser.driver.current_url
    pulsing = "return document.querySelector('#panel progress:not([hidden]):not([value])') !== null"
    assert browser.run(pulsing)
    moving = "return getComputedStyle(document.querySelector('#panel progress')).animationName"
    assert browser.run(moving) == "pulse"
    browser.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    assert browser.run(moving) == "none"
    lines = len(browser.text("#panel .output").splitlines())
    until(lambda: len(browser.text("#panel .output").splitlines()) > lines, "more comes")
    gate.touch()
    browser.wait_text("#panel .job-state", "completed")
    browser.wait_text("#panel .output", "50 %")
    gate.unlink()
    browser.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    until(lambda: not browser.text("#panel"), "the panel is closed")
    focused = browser.run("return document.activeElement.textContent")
    assert focused == "waiting one" or browser.run("return document.activeElement.id") == "main", "its row has gone"
    assert browser.complaints() == []


def test_a_failed_job_is_retried(browser: Browser, daemon: JobsDaemon) -> None:
    """From its own address, which a colleague has sent; the new one is shown in its place. They lead to each other,
    though so many jobs wait that the list has no room for them.
    """
    submit(daemon, "queued", *(f"queued {number}" for number in range(25)))
    (job_id,) = submit(daemon, "broken", "broken 2")
    daemon.wait_status(job_id, "failed")
    open_page(browser, daemon, f"#job={job_id}")
    browser.wait_text("#panel .output", "reading a.img\na.img: Input/output error")
    browser.wait_text("#panel .error", "exit status 3")
    browser.click("#panel .buttons button:not([hidden])")
    until(lambda: job_id not in browser.driver.current_url, "the new one is shown")
    browser.wait_text("#panel .error", "exit status 3")
    browser.wait_text("#panel .kin", "Retry of job")
    browser.click("#panel .kin p:first-child a")
    until(lambda: job_id in browser.driver.current_url, "it leads to the one that it retries")
    browser.wait_text("#panel .kin", "Retried as job")
    browser.click("#panel .kin p:last-child a")
    until(lambda: job_id not in browser.driver.current_url, "and back")
    assert "broken 2" not in names(browser)
    open_page(browser, daemon, f"#job={job_id}")
    browser.wait_text("#panel .kin", "Retried as job")
    assert len(daemon.rows("SELECT id FROM hvd_jobs WHERE name = 'broken 2'")) == 2
    open_page(browser, daemon, "#job=019ab6b1-0000-7000-8000-000000000000")
    browser.wait_text("#panel .note", "No job has this id")


def test_jobs_fit_every_screen(browser: Browser, daemon: JobsDaemon) -> None:
    """Nothing sticks out, and a long name keeps its end; axe-core finds nothing with the panel open either."""
    (job_id,) = submit(daemon, "broken", LONG)
    daemon.wait_status(job_id, "failed")
    submit(daemon, "wait", "waiting two")
    for width, scheme in SIZES:
        open_page(browser, daemon)
        browser.size(width, 900, scheme=scheme)
        until(lambda: "waiting two" in names(browser), "jobs are shown")
        box = "const box = document.querySelector('{}'); return box.scrollWidth - box.clientWidth"
        assert browser.run(box.format("#jobs .scroll")) <= 0
        assert browser.run("return document.documentElement.scrollWidth") <= width
        ends = "return [...document.querySelectorAll('#jobs .parts > :last-child')]"
        assert browser.run(f"{ends}.every((end) => end.scrollWidth <= end.clientWidth + 1)"), "no end is cut"
        browser.run("location.hash = arguments[0]", f"#job={job_id}")
        browser.wait_text("#panel .output", "Input/output error")
        assert browser.run(box.format("#panel .body")) <= 0
        assert browser.accessibility() == []
