"""What comes over the screen."""

import pytest
from rich.text import Text

from hvd.cli.top.dialogs import Panel, Question
from hvd.cli.top.widgets import Body
from tests.unit.cli.top.screen import Seen, run


@pytest.mark.parametrize(("keys", "answer"), [("y", True), ("x n", False), ("escape", False)])
def test_a_question_has_an_answer(keys: str, answer: bool) -> None:
    """Only y is a yes."""

    async def steps(seen: Seen) -> None:
        answers: list[bool | None] = []
        seen.app.push_screen(Question(["Sure?"]), answers.append)
        assert "Sure?" in await seen.text()
        await seen.press(*keys.split())
        assert answers == [answer]

    run(steps)


def test_a_question_is_answered_by_a_click() -> None:
    """On the words."""

    async def steps(seen: Seen) -> None:
        answers: list[bool | None] = []
        seen.app.push_screen(Question(["Sure?"]), answers.append)
        lines = (await seen.text()).splitlines()
        y = next(at for at, line in enumerate(lines) if " yes " in line)
        await seen.pilot.click(offset=(lines[y].index("yes"), y))
        await seen.pilot.pause()
        assert answers == [True]

    run(steps)


def test_a_panel_scrolls_wraps_and_goes_back() -> None:
    """In its width."""

    async def steps(seen: Seen) -> None:
        lines = [Text("word " * 30), *(Text(f"line {number}") for number in range(60))]
        seen.app.push_screen(Panel(lambda: ("title", lines), "foot"))
        text = await seen.text()
        assert text.startswith(" title")
        assert "foot" in text
        assert text.count("word") == 30
        assert "line 59" not in text
        assert "line 59" in await seen.press("G")
        assert "word" in await seen.press("g")
        assert "line 30" in await seen.press("pagedown", "j")
        assert "line 59" in await seen.press("space")
        assert "word" in await seen.press("g")
        for _ in range(4):
            seen.app.screen.query_one(Body).action_scroll_down()
        assert "\nline 2\n" in (await seen.text()).replace(" title", "")[:10], "keys in a bunch all count"
        await seen.pilot.resize_terminal(40, 10)
        assert all(len(line) <= 40 for line in (await seen.text()).splitlines())
        assert "routes" in await seen.press("escape")

    run(steps)
