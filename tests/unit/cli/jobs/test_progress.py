"""How far jobs are: lines where nothing should move, else bars."""

import io
from typing import Any

import pytest
from rich.console import Console

from hvd.cli.jobs.progress import Bars, Lines, make_bars, moves
from hvd.cli.jobs.progress import progress as shown_progress
from tests.unit.cli.daemon import ID, OTHER, Json, job


def test_lines_tell_steps_and_not_every_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """A change of status, ten percent more; what failed says why."""
    show = Lines()
    for step in (job("pending"), job("pending"), *(job(progress=percent) for percent in (0, 1, 9, 10, 15, 20, 100))):
        show([step])
    show([job("failed", duration_seconds=2, error="exit 1\x1b", progress=100)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"{ID}  pending  -  a", f"{ID}  running  -  a"]
    assert [line.split()[2] for line in lines[2:-1]] == ["10%", "20%", "100%"]
    assert lines[-1] == f"{ID}  failed  100%  a  2.000s  exit 1\\x1b"


def test_lines_bear_odd_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    """Of some other version of hvd."""
    Lines()([{}, {"id": 7, "progress": "x", "status": None}])
    assert capsys.readouterr().out == "-  -  -  -\n7  -  -  -\n"


def test_stdout_that_is_no_terminal_gets_lines() -> None:
    """Logs and pipes."""
    with shown_progress() as show:
        assert isinstance(show, Lines)


def bars_of(*answers: list[Json]) -> str:
    """What the bars look like after these answers."""
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    bars = make_bars(console=console)
    show = Bars(bars)
    for jobs in answers:
        show(jobs)
    with console.capture() as captured:
        console.print(bars.get_renderable())
    return captured.get()


def test_each_job_has_a_bar() -> None:
    """With its name, in which nothing is markup or moves the cursor."""
    text = bars_of(
        [job(progress=10), job("pending", OTHER, name="[red]\x1b[2J" + "x" * 100)], [job("completed", progress=100)]
    )
    rows = [line.split() for line in text.splitlines()]
    assert [(row[0], *row[-3:-1]) for row in rows] == [
        ("a", "100%", "completed"),
        ("[red]\\x1b[2Jxxxxxxxxxxxxxxxxxx...", "-", "pending"),  # its bar is empty
    ]


def test_a_job_that_does_not_say_how_far_it_is_pulses() -> None:
    """From its start until it says something, and shows no 0 %."""
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    bars = make_bars(console=console)
    show = Bars(bars)
    bar: Any = bars.columns[1]
    seen = []
    for answer in (job("pending"), job(progress=0), job(progress=7), job("completed", progress=100)):
        show([answer])
        (task,) = bars.tasks
        seen.append((bar.render(task).pulse, task.fields["percent"]))
    assert seen == [(False, "-"), (True, "-"), (False, "7%"), (False, "100%")]


@pytest.mark.parametrize(
    ("environ", "answer"),
    [
        ({}, True),
        ({"LANG": "de_DE.UTF-8", "TERM": "xterm"}, True),
        ({"NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"LANG": "C"}, False),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, False),
        ({"LANG": "C", "LC_ALL": "C.UTF-8"}, True),
    ],
)
def test_nothing_moves_where_it_should_not(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], answer: bool
) -> None:
    """Who wants no colours, a terminal that can't, a language without the signs; and what is no terminal."""
    terminal = io.TextIOWrapper(io.BytesIO(), "utf-8")
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setattr("locale.getencoding", lambda: "UTF-8")
    assert moves(environ) is False
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    assert moves(environ) is answer
    monkeypatch.setattr("locale.getencoding", lambda: "ANSI_X3.4-1968")
    assert moves(environ) is False


def test_many_jobs_share_a_bar() -> None:
    """It counts those that have ended."""
    jobs = [job(job_id=f"{index}") for index in range(40)]
    text = bars_of(jobs, [job("failed", "0"), job("completed", "1")])
    words = text.split()
    assert [*words[:2], *words[3:-1]] == ["40", "jobs", "5%", "2", "ended"]
