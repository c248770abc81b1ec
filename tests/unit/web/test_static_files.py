"""The dashboard's files: who gets the page, how files are named, compressed and kept."""

import gzip
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from falcon import testing

from hvd.web.app import create_app
from hvd.web.here import Here
from hvd.web.static_files import STATIC, load, without_comments
from tests.support.waiting import PATIENCE

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.fixture(scope="module")
def client() -> testing.TestClient:
    return testing.TestClient(create_app(Here()))


def get(client: testing.TestClient, path: str, **headers: str) -> Any:
    return client.simulate_get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def page(client: testing.TestClient) -> str:
    text: str = get(client, "/", Accept=BROWSER).text
    return text


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


INDEX = '<link href="static/style.css"><!-- modules --><script src="static/app.js"></script>'


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),  # curl
        ("application/json", "application/json"),
        ("application/json, text/html;q=0.9", "application/json"),
        (BROWSER, "text/html; charset=utf-8"),
        ("text/html", "text/html; charset=utf-8"),
        ("text/*", "text/html; charset=utf-8"),
    ],
)
def test_the_page_is_for_who_likes_it_best(client: testing.TestClient, accept: str | None, kind: str) -> None:
    """A browser; whoever has no preference gets the list of endpoints, and caches are told that there are two."""
    answer = get(client, "/", **({} if accept is None else {"Accept": accept}))
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert "Accept" in answer.headers["vary"].split(", ")


def test_the_page_may_run_only_what_is_its_own(client: testing.TestClient) -> None:
    """A strict policy, and nothing in the page that it would forbid."""
    answer = get(client, "/", Accept=BROWSER)
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert not re.search(r'\sstyle=|\son[a-z]+="|<style|<script(?![^>]* src=)|javascript:', answer.text)
    assert not re.search(r'(?:href|src)="(?:/|https?:)', answer.text), "all addresses are relative, and ours"


def test_files_are_named_by_their_content_and_kept_for_ever(client: testing.TestClient) -> None:
    """All that the page names, and all that its modules import; nothing is missing, nothing is left over."""
    named = set(re.findall(r'static/([^"]+)', page(client)))
    for name in list(named):
        answer = get(client, f"/static/{name}")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert re.fullmatch(r"[a-z]+\.[0-9a-f]{12}\.(css|js)", name)
        imported = set(re.findall(r'(?:from|import) "\./([^"]+)"', answer.text))
        assert imported <= named, "the page names what modules import, so that it is fetched at once"
    stems = {name.partition(".")[0] for name in named}
    assert stems == {path.stem for path in STATIC.iterdir() if path.suffix in (".js", ".css")}
    assert get(client, "/static/app.js").status_code == 404
    missing = get(client, "/static/app.000000000000.js")
    assert (missing.status_code, missing.headers["cache-control"]) == (404, "no-store")


def test_a_change_anywhere_changes_the_names_that_lead_to_it(tmp_path: Path) -> None:
    """A module's new content is a new name, so all that import it have new content, too; others keep their names."""
    files = {
        "index.html": INDEX,
        "style.css": "a {}",
        "app.js": 'import { a } from "./middle.js";\nimport "./other.js";',
        "middle.js": 'export * from "./leaf.js";',
        "leaf.js": "export const a = 1;",
        "other.js": "",
    }
    before = load(write(tmp_path, files))
    load.cache_clear()
    after = load(write(tmp_path, {"leaf.js": "export const a = 2;"}))
    load.cache_clear()
    changed = {name.partition(".")[0] for name in set(after.files) - set(before.files)}
    assert changed == {"app", "middle", "leaf"}
    assert after.page.digest != before.page.digest


def test_modules_in_a_circle_are_refused(tmp_path: Path) -> None:
    """By name: neither could have its name before the other."""
    folder = write(
        tmp_path,
        {"index.html": INDEX, "style.css": "", "app.js": 'import "./other.js";', "other.js": 'import "./app.js";'},
    )
    with pytest.raises(ValueError, match="imports itself"):
        load(folder)


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip, deflate, br, zstd", True),
        ("GZIP;Q=0.5", True),
        ("*", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("gzip;q=x", False),
        ("identity", False),
    ],
)
def test_files_are_compressed_for_who_takes_it(client: testing.TestClient, accepted: str, packed: bool) -> None:
    """The content is the same; the ETag isn't, and caches are told."""
    for path in ("/", f"/static/{next(iter(load().files))}"):
        answer = get(client, path, Accept=BROWSER, Accept_Encoding=accepted)
        plain = get(client, path, Accept=BROWSER)
        assert answer.headers.get("content-encoding") == ("gzip" if packed else None)
        assert (gzip.decompress(answer.content) if packed else answer.content) == plain.content
        assert (answer.headers["etag"] == plain.headers["etag"]) is not packed
        assert "Accept-Encoding" in answer.headers["vary"]


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_what_a_browser_has_is_not_sent_again(client: testing.TestClient, encoding: str) -> None:
    """304 for the ETag that it was given, alone, in a list or weak; the page has to be asked about."""
    first = get(client, "/", Accept=BROWSER, Accept_Encoding=encoding)
    assert first.headers["cache-control"] == "no-cache"
    etag = first.headers["etag"]
    for known in (etag, f'"x", {etag}', f"W/{etag}", "*"):
        again = get(client, "/", Accept=BROWSER, Accept_Encoding=encoding, If_None_Match=known)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        assert "vary" in again.headers
    assert get(client, "/", Accept=BROWSER, If_None_Match='"other"').status_code == 200


def test_head_says_the_same(client: testing.TestClient) -> None:
    """Without a body."""
    for path in ("/", f"/static/{next(iter(load().files))}"):
        head = client.simulate_head(path, headers={"Accept": BROWSER})
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["etag"] == get(client, path, Accept=BROWSER).headers["etag"]


def test_the_whole_page_is_light() -> None:
    """Below 100 kB compressed, as the page promises: with room to spare."""
    site = load()
    assert len(site.page.packed) + sum(len(asset.packed) for asset in site.files.values()) < 102_000


def test_comments_are_not_served() -> None:
    """Where they are lines of their own; all code stays."""
    code = "/** One. */\nconst a = 1; // two\n  // three\n/*\n * four\n */\n  b = `/* five */`;\n"
    assert without_comments(code) == "const a = 1; // two\n  b = `/* five */`;\n"


def test_each_module_is_small_and_says_what_it_is_for() -> None:
    """Below 250 lines; text from elsewhere can't become markup anywhere."""
    for path in STATIC.glob("*.js"):
        text = path.read_text()
        assert len(text.splitlines()) < 250, path.name
        assert text.startswith("/** "), path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|\.style\b", text), (
            path.name
        )


@pytest.mark.parametrize("scheme", [0, 1])
def test_colours_are_told_apart_from_what_is_behind_them(scheme: int) -> None:
    """In both schemes: text by 4.5 to 1, lines and marks of the charts by 3 to 1 (WCAG 2.2, 1.4.3 and 1.4.11)."""
    colours = dict(
        re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", (STATIC / "style.css").read_text().split("@media")[scheme])
    )
    for name in ("text", "muted", "accent", "good", "warn", "bad"):
        assert contrast(colours[name], colours["card"]) >= 4.5, name
    for name in ("s0", "s1", "s2"):
        assert contrast(colours[name], colours["card"]) >= 3, name
    assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
    assert contrast(colours["card"], colours["bad"]) >= 4.5, "the number in a mark"


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_modules_pass_their_own_tests(tmp_path: Path) -> None:
    """static/*.test.js, under node: what needs no page."""
    for path in STATIC.glob("*.js"):  # as they are served
        (tmp_path / path.name).write_text(without_comments(path.read_text()))
    for path in Path(__file__).with_name("static").glob("*.test.js"):
        shutil.copy(path, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    command, environ = ["node", "--test", "--test-reporter=tap"], {**os.environ, "TZ": "UTC"}
    found = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=150 * PATIENCE)
    assert found.returncode == 0, found.stdout + found.stderr
    assert int(re.findall(r"^# pass (\d+)$", found.stdout, re.MULTILINE)[-1]) >= 30, found.stdout
