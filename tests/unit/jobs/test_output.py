"""What is kept of what a job prints."""

import pytest

from hvd.jobs.output import LINE_CHARACTERS, LINES, Output

QEMU = r"\(([0-9.]+)/100%\)"


def fed(*pieces: bytes, progress: str | None = None) -> Output:
    output = Output(progress)
    for piece in pieces:
        output.feed(piece)
    return output


def test_the_last_lines_are_kept() -> None:
    """However they are cut into pieces."""
    data = b"".join(b"line %d\n" % number for number in range(100))
    expected = "\n".join(f"line {number}" for number in range(100 - LINES, 100))
    for size in (1, 7, 64, 10_000):
        assert fed(*(data[at : at + size] for at in range(0, len(data), size))).tail() == expected


def test_a_line_without_an_end_is_kept_too() -> None:
    """It may be the prompt or the error that a job died at."""
    assert fed(b"one\ntwo").tail() == "one\ntwo"
    assert fed(b"").tail() == ""


def test_a_carriage_return_overwrites_the_line() -> None:
    """As on a terminal."""
    assert fed(b"10%\r20%\r100%\r\ndone\r\n").tail() == "100%\ndone"


def test_what_a_terminal_would_obey_is_not_kept() -> None:
    """Escapes, NUL, bytes that aren't UTF-8: replaced, so that a database takes it and a terminal can show it."""
    tail = fed(b"\x1b[31mred\x00\xff\xed\xa0\x80\x9b\n").tail()
    assert tail.startswith("\ufffd[31mred\ufffd")
    assert not set(map(ord, tail)) & {0, 27, 0x9B}
    tail.encode("utf-8")


def test_what_is_kept_is_bounded() -> None:
    """Whatever a job prints: one line of megabytes, or megabytes of lines."""
    for data in (b"x" * 3_000_000, b"y\n" * 1_500_000, b"\r" * 100_000, b"z" * 100_000 + b"\n"):
        output = fed(*(data[at : at + 65_536] for at in range(0, len(data), 65_536)))
        assert len(output.tail()) <= LINES * (LINE_CHARACTERS + 1)
        assert len(output._partial) <= 16_384


def test_progress_is_read_as_qemu_prints_it() -> None:
    """One line that overwrites itself, in whatever pieces."""
    output = Output(QEMU)
    seen = []
    for piece in (b"    (0.00/100%)\r    (1", b"0.50/100%)\r", b"    (55.12/100%)\r    (7", b"7.00/100%)\r"):
        output.feed(piece)
        seen.append(output.percent)
    assert seen == [0.0, 10.5, 55.12, 77.0]


@pytest.mark.parametrize(("pattern", "text"), [(r"(?P<percent>\d+) of (\d+)", b"40 of 100\n"), (r"at (\d+)", b"at 40")])
def test_the_percent_group_is_the_named_one_or_the_first(pattern: str, text: bytes) -> None:
    """A kind says which."""
    assert fed(text, progress=pattern).percent == 40.0


def test_progress_never_falls_and_never_leaves_its_range() -> None:
    """Nonsense is passed over."""
    output = fed(b"(50/100%)\n", b"(20/100%)\n", b"(900/100%)\n", b"(1.2.3/100%)\n", progress=QEMU)
    assert output.percent == 50.0


def test_without_a_pattern_there_is_no_progress() -> None:
    """Nothing is guessed."""
    assert fed(b"50%\n").percent == 0.0
