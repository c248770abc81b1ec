"""What keys and clicks do, on a screen that is no terminal; tests/live has real ones."""

import dataclasses
import time

import pytest
from rich.cells import cell_len
from textual.widgets import Input

from hvd.cli.top.frame import ASCII
from hvd.cli.top.model import Model
from tests.unit.cli.daemon import daemon
from tests.unit.cli.top.data import HOSTILE, detail, metrics, model, own_model, route, span
from tests.unit.cli.top.screen import Seen, run
from tests.unit.cli.top.test_busy import outage

ROUTES = [route(f"/{name}", number, last_minute=span(p99_ms=float(number))) for number, name in enumerate("abcdef")]


def shop() -> Model:
    return model(time.monotonic()).with_message(detail(routes=ROUTES), time.monotonic())


def first_row(text: str) -> str:
    lines = text.splitlines()
    return lines[next(at for at, line in enumerate(lines) if line.startswith(("ROUTE", "  PID", "JOB"))) + 1]


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (1, 1)])
def test_any_size_will_do(size: tuple[int, int]) -> None:
    """In each list, with each dialog; nothing is wider than the screen, all of it ASCII where there is no more."""

    async def steps(seen: Seen) -> None:
        for keys in ("1", "2", "3 enter", "escape 4", "5", "question_mark", "escape slash", "escape c", "escape"):
            text = await seen.press(*keys.split())
            assert text.isascii()
            assert all(cell_len(line) <= size[0] for line in text.splitlines())

    hostile = outage(10).with_message(detail(routes=[route(HOSTILE, 1)]), 100.0).without_connection(HOSTILE, 1.0)
    run(steps, hostile, size, glyphs=ASCII)


def test_rows_are_sorted_by_keys_and_by_clicks() -> None:
    """The direction is shown; the same head again turns it."""

    async def steps(seen: Seen) -> None:
        assert "/S▼" in await seen.text()
        text = await seen.press("s", "s", "s")
        assert "P99▼" in text
        assert first_row(text).startswith("/f")
        text = await seen.press("r")
        assert "P99▲" in text
        assert first_row(text).startswith("/a")
        lines = text.splitlines()
        y = next(at for at, line in enumerate(lines) if line.startswith("ROUTE"))
        await seen.pilot.click(offset=(lines[y].index("SPENT") + 2, y))
        assert "SPENT▼" in await seen.text()
        await seen.pilot.click(offset=(lines[y].index("SPENT") + 2, y))
        assert "SPENT▲" in await seen.text()
        assert "ROUTE▼" not in await seen.press("left", "left", "left", "left", "left", "left")

    run(steps, shop())


def test_a_filter_is_typed_kept_and_forgotten() -> None:
    """Keys are letters meanwhile, also those that come at once."""

    async def steps(seen: Seen) -> None:
        text = await seen.press("slash", "slash", "c")
        assert "routes 6 /c" not in text
        assert seen.app.query_one(Input).value == "/c"
        assert "/c: 1" in text
        text = await seen.press("enter")
        assert "q quit" in text
        assert first_row(text).startswith("/c")
        assert "none of 6" in await seen.press("slash", "q", "enter")
        assert first_row(await seen.press("escape")).startswith("/a")

    run(steps, shop())


def test_enter_opens_all_of_a_row() -> None:
    """Which moves with the numbers; Esc goes back to the cursor, which stays on its row."""

    async def steps(seen: Seen) -> None:
        await seen.press("j", "j")
        text = await seen.press("enter")
        assert "route /c" in text
        assert "since start" in text
        seen.feed.model = model(time.monotonic()).with_message(
            detail(routes=[route("/c", 987_654), *ROUTES[:2]]), time.monotonic()
        )
        seen.feed.changed()
        await seen.until("987,654")
        await seen.press("escape", "enter")
        await seen.until("route /c")

    run(steps, shop())


def test_the_mouse_chooses_rows_tabs_and_keys() -> None:
    """A click puts the cursor on a row, and on that row opens it; the wheel moves it."""

    async def steps(seen: Seen) -> None:
        lines = (await seen.text()).splitlines()
        y = next(at for at, line in enumerate(lines) if line.startswith("ROUTE"))
        await seen.pilot.click(offset=(3, y + 3))
        assert "/c" in lines[y + 3]
        await seen.pilot.click(offset=(3, y + 3))
        await seen.until("route /c", "p99")
        await seen.press("escape")
        tabs = next(at for at, line in enumerate(lines) if "1 workers" in line)
        await seen.pilot.click(offset=(lines[tabs].index("3 jobs") + 1, tabs))
        await seen.until("PROGRESS")
        await seen.pilot.click(offset=(2, 23))
        await seen.until("hvd top: keys")

    run(steps, shop())


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((200, {"cancelled": [], "cancelling": ["a"], "ended": [], "unknown": []}), "job a was told to end"),
        (
            (403, {"detail": "needs the scope jobs"}),
            "job a is not cancelled: refused (403): needs the scope jobs",
        ),
    ],
)
def test_a_job_is_cancelled_after_a_question(answer: tuple[int, dict[str, object]], told: str) -> None:
    """What became of it is told in words; a no asks nobody, and one that has ended can't be."""
    with daemon(answer) as (url, requests):

        async def steps(seen: Seen) -> None:
            await seen.press("3", "c")
            text = await seen.until("Cancel job a (a)?", "It is told to end.")
            assert "healthy" in text, "the screen stays behind the question"
            await seen.press("n")
            await seen.until("PROGRESS")
            assert not requests
            await seen.press("c", "y")
            await seen.until(told)
            assert [request.body for request in requests] == [{"ids": ["a"]}]
            await seen.press("j", "c")
            await seen.until("job b is failed already")

        run(steps, url=url)


def test_a_job_tells_its_last_lines_and_a_worker_its_threads() -> None:
    """The daemon is asked beside; what it refuses is said."""
    headers = {"Hvd-Job-Status": "running"}
    with daemon((200, b"step 1\n\x1b[31mstep 2", headers), (409, {"detail": "gone"})) as (url, _):

        async def steps(seen: Seen) -> None:
            await seen.press("3", "enter")
            await seen.until("last lines", "step 1", "\\x1b[31mstep 2")
            await seen.press("escape", "1", "enter")
            await seen.until("gives no stacks: gone")

        run(steps, url=url)


def test_own_metrics_are_pinned_and_charted() -> None:
    """That under the cursor."""

    async def steps(seen: Seen) -> None:
        text = await seen.press("4")
        assert "p pin" in text
        await seen.press("j", "j", "p")
        assert seen.feed.toggled == [seen.app.choice.selected]
        assert seen.app.choice.selected in seen.feed.watched

    run(steps, own_model(now=time.monotonic()))


def test_a_pause_holds_the_numbers() -> None:
    """And says for how long."""

    async def steps(seen: Seen) -> None:
        await seen.press("space")
        await seen.until("PAUSED")
        seen.feed.model = seen.feed.model.with_message(metrics(http_requests=7777), time.monotonic())
        seen.feed.changed()
        assert "7,777" not in await seen.text()
        await seen.press("space")
        await seen.until("7,777")

    run(steps)


def test_lists_spans_and_windows_are_chosen() -> None:
    """Tab goes round; t shows routes since the start; w charts of another time."""

    async def steps(seen: Seen) -> None:
        assert "PROGRESS" in await seen.press("tab")
        assert "ROUTE" in await seen.press("shift+tab")
        assert "COUNT" in await seen.press("t")
        assert "-15m" in await seen.text()
        assert "-4m" in await seen.press("w")

    run(steps)


def test_before_the_first_answer_it_says_what_it_waits_for() -> None:
    """And the end of a feed is the end of the screen."""

    async def steps(seen: Seen) -> None:
        assert "waiting for the first answer, up to 5 s" in await seen.text()
        seen.feed.failure = KeyError("ours")
        seen.feed.changed()
        await seen.pilot.pause(0.2)

    assert run(steps, Model()).return_code == 1


def test_only_what_changed_is_drawn_anew() -> None:
    """The same numbers again draw nothing."""

    async def steps(seen: Seen) -> None:
        await seen.text()
        drawn: list[object] = []
        for lines in seen.app.query("Lines"):
            lines.refresh = lambda *regions, **more: drawn.extend(regions)  # type: ignore[assignment, method-assign]
        seen.app.draw()
        assert drawn == []
        seen.feed.model = dataclasses.replace(seen.feed.model, raw={**seen.feed.model.raw, "http_requests": 7777})
        seen.app.draw()
        assert len(drawn) == 1

    run(steps)
