"""The real Chromium for tests, headless; what its page complains of; and axe-core, which judges accessibility."""

import contextlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.service import Service

from tests.support.http import Address
from tests.support.waiting import PATIENCE, until

AXE = "axe-core@4.14.1"
LOADING = 30 * PATIENCE  # s that a page may take
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hvd-tests"

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # the tests may run as root
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--enable-precise-memory-info",
    "--window-size=1366,768",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no request leaves this machine
)

# Of what is out of sight, and therefore not laid out (content-visibility: auto), innerText is empty.
TEXT = """
const isLaidOut = (element) => element.checkVisibility({ contentVisibilityAuto: true });
const isLeftOut = (element) => element.checkVisibility() && !isLaidOut(element);
const isSkipped = (element) => [element, ...element.children].some(isLeftOut);
const text = (element) => (isSkipped(element) ? element.textContent : element.innerText);
"""

UNCOVER = """
const element = document.querySelector(arguments[0]);
if (!element) return;
const { x, y, width, height } = element.getBoundingClientRect();
const top = document.elementFromPoint(x + width / 2, y + height / 2);
if (!element.contains(top)) element.scrollIntoView({ block: "center" });
"""

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`);
});
"""


class Browser:
    """A Chromium with one page. A context manager; nothing of it stays."""

    def __init__(self) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or "/usr/bin/chromium"
        for argument in ARGUMENTS:
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self._profile = tempfile.TemporaryDirectory(prefix="hvd-browser-")
        options.add_argument(f"--user-data-dir={self._profile.name}")
        self.driver = webdriver.Chrome(options, Service(shutil.which("chromedriver") or "/usr/bin/chromedriver"))
        self.driver.set_script_timeout(60 * PATIENCE)
        self.driver.set_page_load_timeout(LOADING)
        self.driver.command_executor.client_config.timeout = 4 * LOADING  # later than those of the browser
        self.cdp("Page.addScriptToEvaluateOnNewDocument", source=WATCH)

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *exc: object) -> None:
        self.driver.quit()
        with contextlib.suppress(OSError):  # Chromium's last processes may still write there
            self._profile.cleanup()

    def open(self, url: str) -> None:
        """Go there; what the page before complained of is forgotten."""
        self.driver.get("about:blank")
        self.complaints()
        try:
            self.driver.get(url)
        except TimeoutException:
            raise AssertionError(f"not loaded within {LOADING:g} s: {url}, which {answer_of(url)}") from None

    def cdp(self, command: str, **parameters: Any) -> Any:
        """Send a command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(command, parameters)

    def run(self, script: str, *arguments: Any) -> Any:
        """What the script returns."""
        return self.driver.execute_script(script, *arguments)

    def with_page(self, body: str) -> Any:
        """What an async function of the page's own `page` (see app.js) returns, or the error that it threw."""
        script = (
            "const done = arguments[arguments.length - 1];"
            'import(document.querySelector("script[type=module]").src)'
            f".then(async ({{ page }}) => {{ {body} }})"
            ".then((value) => done({ value }), (error) => done({ error: `${error}\\n${error.stack}` }));"
        )
        answer = self.driver.execute_async_script(script)
        assert "error" not in answer, answer
        return answer["value"]

    def cut_off(self) -> None:
        """The page hears nothing more of its daemon, by WebSocket or HTTP: it shows what a test gives it."""
        self.with_page(
            "page.socket.close(); page.socket.open = page.socket.restart = () => {};"
            "page.contact.poll.start = () => {}; page.contact.poll.stop(); page.contact.interval = 3600"
        )

    def text(self, selector: str) -> str:
        """The text of the first such element, out of sight too; empty where there is none, or it is hidden."""
        script = (
            f"{TEXT} const found = document.querySelector(arguments[0]);"
            "return found?.checkVisibility() ? text(found) : ''"
        )
        found: str = self.run(script, selector)
        return found

    def texts(self, selector: str) -> list[str]:
        found: list[str] = self.run(f"{TEXT} return [...document.querySelectorAll(arguments[0])].map(text)", selector)
        return found

    def click(self, selector: str) -> None:
        """As a user does, who first scrolls what lies below the page's head into view."""
        self.run(UNCOVER, selector)
        self.driver.find_element("css selector", selector).click()

    def wait_text(self, selector: str, part: str, seconds: float = 15) -> str:
        """The text of that element once it has `part` in it."""
        return (
            until(lambda: text if part in (text := self.text(selector)) else None, f"{selector} says {part!r}", seconds)
            or ""
        )

    def size(self, width: int, height: int, *, scheme: str = "light", ratio: float = 1) -> None:
        """Show the page in a viewport of that size, and in that colour scheme."""
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=ratio,
            mobile=width < 500,
        )
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def complaints(self) -> list[str]:
        """What is on the console since the last call, and what the page's policy has forbidden."""
        logged = [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]
        violations: list[str] = self.run("return window.violations.splice(0)")
        return logged + violations

    def heap(self) -> int:
        """Bytes of JavaScript's heap in use, once all that is garbage is collected."""
        self.cdp("HeapProfiler.collectGarbage")
        return int(self.cdp("Runtime.getHeapUsage")["usedSize"])

    def accessibility(self) -> list[str]:
        """What axe-core finds wrong with the page."""
        self.run(axe_source())
        script = (
            "const done = arguments[arguments.length - 1];"
            "const brief = (node) => [node.html.slice(0, 200), node.failureSummary];"
            "axe.run().then(({ violations }) => done(violations.map(({ id, help, nodes }) =>"
            " ({ id, help, nodes: nodes.slice(0, 5).map(brief) }))));"
        )
        return [json.dumps(found) for found in self.driver.execute_async_script(script)]


def axe_source() -> str:
    """axe-core's script, from npm: fetched once, and kept outside of the project, which ships nothing of it."""
    kept = CACHE / f"{AXE}.js"
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            subprocess.run(["npm", "pack", "--silent", AXE], cwd=folder, check=True, timeout=120 * PATIENCE)
            (archive,) = Path(folder).glob("*.tgz")
            with tarfile.open(archive) as packed:
                script = packed.extractfile("package/axe.min.js")
                assert script
                (Path(folder) / "axe.js").write_bytes(script.read())
            (Path(folder) / "axe.js").replace(kept)
    return kept.read_text(encoding="utf-8")


def answer_of(url: str) -> str:
    """How it answers who is no browser, in words that go on after "which"."""
    try:
        with urllib.request.urlopen(url, timeout=5 * PATIENCE) as answer:
            return f"answers {answer.status}"
    except urllib.error.HTTPError as error:
        return f"answers {error.code}"
    except OSError as error:
        return f"does not answer: {error}"


def url_of(address: Address, path: str = "/") -> str:
    """The URL of a path there, over TCP."""
    assert not isinstance(address, str), address
    return f"http://{address[0]}:{address[1]}{path}"
