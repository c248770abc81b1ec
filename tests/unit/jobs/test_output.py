"""What jobs print: the last lines, and the progress told last."""

import time

import pytest

from hvd.jobs.output import LINE_CHARACTERS, LINES, LOOKED_AT, TAIL, Output

QEMU = r"\((?P<percent>[0-9.]+)/100%\)"


def fed(*pieces: bytes, progress: str | None = None) -> Output:
    output = Output(progress)
    for piece in pieces:
        output.feed(piece)
    return output


def test_the_last_lines_are_kept() -> None:
    """So many, and the one that has no end yet is the last of them."""
    lines = [f"line {index}" for index in range(100)]
    assert fed("\n".join(lines).encode()).tail().split("\n") == lines[-LINES:]
    assert fed("".join(f"{line}\n" for line in lines).encode()).tail().split("\n") == lines[-LINES:]
    assert fed().tail() == ""


def test_lines_may_come_in_any_pieces() -> None:
    """Byte by byte it is the same, also amid a character."""
    text = "eins\nzwei drei\r\nvier grüße 你好\nfünf".encode()
    whole = fed(text).tail()
    assert whole == "eins\nzwei drei\nvier grüße 你好\nfünf"
    assert fed(*(text[at : at + 1] for at in range(len(text)))).tail() == whole


def test_what_is_overwritten_is_not_kept() -> None:
    """A line shows what follows its last carriage return, as a terminal would."""
    assert fed(b"  0%\r 50%\r100%\r\ndone\n").tail() == "100%\ndone"
    assert fed(b"    (1.00/100%)\r", b"    (2.00/100%)\r").tail() == "    (2.00/100%)"


def test_control_characters_are_replaced() -> None:
    """No line moves anybody's cursor; a tab stays, what is no UTF-8 is marked."""
    assert fed(b"\x1b[2Ja\tb\x00\x07\x7f\xc2\x9b").tail() == "\ufffd[2Ja\tb\ufffd\ufffd\ufffd\ufffd"
    assert fed(b"a\xff\xfeb").tail() == "a\ufffd\ufffdb"
    for turned in "\u061c\u200e\u200f\u202a\u202e\u2066\u2069\u2028":
        assert fed(f"a{turned}b".encode()).tail() == "a\ufffdb", "nor turns the direction of what follows"


def test_long_lines_are_cut() -> None:
    """Their end is kept."""
    assert fed(b"x" * 1000 + b"end\n").tail() == "x" * (LINE_CHARACTERS - 3) + "end"


def test_a_flood_is_read_in_no_time_and_little_is_kept() -> None:
    """Of 64 MB without a line's end, or of nothing but ends."""
    for flood in (b"x" * 65536, b"\n" * 65536, b"\r" * 65536, b"1%\r" * 21845):
        output = Output(r"(\d+)%")
        started = time.process_time()
        for _ in range(1000):
            output.feed(flood)
        assert time.process_time() - started < 5
        assert len(output.tail()) <= LINES * (LINE_CHARACTERS + 1)
        assert len(output._partial) <= LOOKED_AT
        assert len(output._last) <= TAIL


def test_progress_is_read_as_qemu_img_prints_it() -> None:
    """Each figure overwrites the one before; the last of a piece counts."""
    output = fed(b"    (0.00/100%)\r", progress=QEMU)
    assert output.percent == 0.0
    output.feed(b"    (1.01/100%)\r    (12.37/100%)\r")
    assert output.percent == 12.37
    output.feed(b"    (100.00/100%)\r\n")
    assert output.percent == 100.0


def test_progress_may_come_in_pieces() -> None:
    """A figure that is cut in two counts once it is whole."""
    output = fed(b"    (33.", progress=QEMU)
    assert output.percent == 0.0
    output.feed(b"50/10")
    output.feed(b"0%)\r")
    assert output.percent == 33.5


def test_progress_that_other_lines_follow_is_found() -> None:
    """The newest that there is, not only in the last line."""
    assert fed(b"10%\n20%\nwriting\nsyncing\n", progress=r"(\d+)%").percent == 20.0


def test_progress_never_falls() -> None:
    """A program that begins a second pass doesn't take back what was told."""
    assert fed(b"80%\n", b"10%\n", progress=r"(\d+)%").percent == 80.0


@pytest.mark.parametrize("told", ["101", "-1", "1e3", "nan", "inf", "", "x", "9" * 400])
def test_what_is_no_percentage_is_no_progress(told: str) -> None:
    """It is left where it was."""
    assert fed(b"at 7;\n", f"at {told};\n".encode(), progress="at ([^;]*);").percent == 7.0


def test_the_group_named_percent_counts_and_else_the_only_one() -> None:
    """An optional one that matched nothing tells nothing."""
    assert fed(b"3 of 9: 33%", progress=r"(\d) of (\d): (?P<percent>\d+)%").percent == 33.0
    assert fed(b"33%", progress=r"(\d+)%").percent == 33.0
    assert fed(b"done", progress=r"done( \d+)?").percent == 0.0


def test_without_an_expression_there_is_no_progress() -> None:
    """Whatever is printed."""
    assert fed(b"50%\n").percent == 0.0
