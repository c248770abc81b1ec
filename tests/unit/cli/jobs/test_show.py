"""Jobs as text: aligned, whole, and harmless whatever a daemon sends."""

from typing import Any

import pytest

from hvd.cli.jobs.show import OutputText, detail_lines, job_lines, kind_lines, table
from hvd.texts import plain
from tests.unit.cli.daemon import ID, OTHER, job

HOSTILE = "\x1b[2J\r\nx\u202e\ud800ü"


def test_what_a_job_printed_moves_no_cursor() -> None:
    """Line ends and tabs stay; what overwrites a line is a line; characters come whole, whatever the pieces."""
    text_of = OutputText("utf-8")
    pieces = [b"a\tb\r\n 1%\r 2%\n\x1b[2J\xc3", b"\xbc\xff\xe2\x80", b"\xaex\n"]
    assert "".join(map(text_of, pieces)) == "a\tb\n 1%\n 2%\n\\x1b[2Jü\\xff\\u202ex\n"
    assert OutputText("ascii")("ü\n".encode()) == "\\xfc\n"


def test_columns_are_aligned() -> None:
    """Without blanks at the end."""
    assert table([("a", "bb", "c"), ("aaa", "b", "")]) == ["a    bb  c", "aaa  b"]
    assert table([]) == []


def test_a_list_shows_ids_in_full() -> None:
    """They are what the other commands take."""
    done = job(
        "completed", OTHER, progress=100, duration_seconds=1.5, created_at="2026-01-23T20:30:00.000Z", name=HOSTILE
    )
    lines = job_lines([job(progress=7.4), done], "ascii")
    assert lines[0].split() == ["ID", "STATUS", "PROGRESS", "KIND", "CREATED", "DURATION", "NAME"]
    assert lines[1].split() == [ID, "running", "7%", "checksum", "-", "-", "a"]
    assert lines[2].split()[:6] == [OTHER, "completed", "100%", "checksum", "2026-01-23T20:30:00.000Z", "1.500s"]
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert len({line.index(cell) for line, cell in zip(lines, ("STATUS", "running", "completed"), strict=True)}) == 1


def test_one_job_is_shown_with_its_output_last() -> None:
    """What it has not is left out."""
    lines = detail_lines(job(exit_code=None, params={"file": "/a\n"}, error=HOSTILE, output=["one", HOSTILE]), "utf-8")
    rows = dict(line.split(maxsplit=1) for line in lines[:-3])
    assert rows["id"] == ID
    assert rows["params"] == '"file": "/a\\n"'
    assert "exit_code" not in rows
    assert lines[-3:] == ["output", "  one", f"  {plain(HOSTILE)}"]
    assert all(line.isprintable() for line in lines)


def test_kinds_are_shown_with_their_parameters() -> None:
    """One under the other."""
    kinds = {"checksum": {"params": {"file": {"type": "path", "required": True}}}, "noop": {}}
    assert kind_lines(kinds, "utf-8") == ["checksum", "  file: path", "noop"]


@pytest.mark.parametrize(
    "answer", [{}, {"id": 7, "output": "x", "params": []}, {"progress": "x", "status": None, HOSTILE: {}}]
)
def test_an_odd_answer_is_shown_all_the_same(answer: Any) -> None:
    """Some other version of hvd may have given it."""
    assert all(line.isprintable() for line in detail_lines(answer, "utf-8") + job_lines([answer], "utf-8"))


def test_what_a_parameter_takes_is_told_in_words() -> None:
    """Each type's limits, the default or that it may be left out, and the operator's help."""
    params = {
        "a": {"type": "int", "min": 0, "max": 9, "required": False, "default": 3},
        "b": {"type": "choice", "choices": ["raw", "qcow2"], "required": True, "help": "Of the target."},
        "c": {"type": "path", "exists": False, "required": False},
        "d": {"type": "string", "pattern": "[a-z]+", "required": True},
        "e": None,
    }
    assert kind_lines({"k": {"params": params}}, "utf-8")[1:] == [
        "  a: whole number from 0 to 9; default 3",
        "  b: one of raw, qcow2; Of the target.",
        "  c: path of a file to be made; may be left out",
        "  d: text like [a-z]+",
        "  e: -",
    ]


def test_what_is_there_for_other_clients_is_not_shown_twice() -> None:
    """Nor is the 0 that a job has before its start a duration."""
    others = {"provider": "p", "vm_name": "v", "start_time": "s", "end_time": "e", "error_msg": "m"}
    pending = job("pending", started_at=None, duration_seconds=0.0)
    assert detail_lines(pending | others, "utf-8") == detail_lines(pending, "utf-8")
    (line,) = (line for line in detail_lines(pending, "utf-8") if line.startswith("duration_seconds"))
    assert not any(character.isdigit() for character in line)
    ran = job("running", started_at="2026-01-23T20:30:00.000Z", duration_seconds=1.5)
    assert any("1.500s" in line for line in detail_lines(ran, "utf-8"))
