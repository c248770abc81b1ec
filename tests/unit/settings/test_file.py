"""The file of settings: read within bounds, and the line of each key."""

import os
import socket
from pathlib import Path

import pytest

from hvd.settings.file import FILE_MAX, key_lines, read_text


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    """The bound belongs to it."""
    path = tmp_path / "hvd.toml"
    path.write_text("#" * FILE_MAX)
    assert len(read_text(str(path))) == FILE_MAX
    path.write_text("#" * (FILE_MAX + 1))
    with pytest.raises(ValueError, match="larger than"):
        read_text(str(path))


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A FIFO that nobody writes and a device would be read for ever."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero")):
        with pytest.raises(ValueError, match="no regular file"):
            read_text(str(path))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for odd in (tmp_path / "socket", tmp_path, tmp_path / "none"):
            with pytest.raises(OSError, match=r"directory|No such device"):
                read_text(str(odd))


def test_the_lines_of_keys_are_found() -> None:
    """Of tables, of dotted and quoted keys; the first line counts, and what is no key is passed over."""
    text = """# a = 1
a = 1
  b . "c d" = 2 # e = 3

[t.u]
x = { y = 1 }
# z = 1
'q' = [
  "r = 1",
]
[[v]]
w=1
[ t . "s" ]
x = 2
[v]
w = 3
"""
    assert key_lines(text) == {
        ("a",): 2,
        ("b", "c d"): 3,
        ("t", "u"): 5,
        ("t", "u", "x"): 6,
        ("t", "u", "q"): 8,
        ("v",): 11,
        ("v", "w"): 12,
        ("t", "s"): 13,
        ("t", "s", "x"): 14,
    }


@pytest.mark.parametrize(
    "line", ["", "=", "[", "[]", '"', "a", "a b = 1", '"a = 1', "\x00", "[" * 1000, '."' * 1000, "a." * 5000]
)
def test_a_line_that_is_no_key_has_none(line: str) -> None:
    """At once, however long it is."""
    assert key_lines(line) == {}
