"""The file of settings: its text, read within bounds, and the line of each key."""

import errno
import os
import re
import stat

FILE_MAX = 2 * 1024 * 1024
"""Bytes that the file may have: thousands of kinds of job fit, and a wrong file is refused within a second."""

_STEP = re.compile(r"""([A-Za-z0-9_-]+)|"([^"]*)"|'([^']*)'""")
_KEY = re.compile(
    rf"[ \t]*(?P<table>\[\[?)?[ \t]*(?P<key>({_STEP.pattern})([ \t]*\.[ \t]*({_STEP.pattern}))*)[ \t]*[\]=]"
)


def read_text(path: str) -> str:
    """The file's text. Raises OSError, ValueError; never waits: a FIFO that nobody writes, or a device, would."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no regular file")
        data = file.read(FILE_MAX + 1) or b""  # None where it would have to wait
    if len(data) > FILE_MAX:
        raise ValueError(f"it is larger than {FILE_MAX} bytes")
    return data.decode()


def key_lines(text: str) -> dict[tuple[str | int, ...], int]:
    """The line of each key of a TOML text, since tomllib doesn't tell. Keys that are written oddly are left out."""
    lines: dict[tuple[str | int, ...], int] = {}
    table: tuple[str | int, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        match = _KEY.match(line)
        if match:
            steps = tuple(step[0] or step[1] or step[2] for step in _STEP.findall(match["key"]))
            table = steps if match["table"] else table
            lines.setdefault(steps if match["table"] else (*table, *steps), number)
    return lines
