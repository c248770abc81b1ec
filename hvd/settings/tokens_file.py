"""The file of tokens, as it lies on the disk: read at a start and a reload, and changed by `hvd token`.

It has mode 0600 and its folder's owner, as root makes tokens for a daemon that is another user. It is written whole
beside its place and renamed, under a lock: a reader finds all of the old one or all of the new one.
"""

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from hvd.core.files import replace_file
from hvd.errors import SettingsError
from hvd.settings.loader import read_text
from hvd.settings.tokens import Token, parse_tokens
from hvd.texts import quoted

LOCK_WAIT = 5.0
"""Seconds that a change waits for another one."""

_PAUSE = 0.01  # s between two attempts to get the lock
_HEADING = "# Tokens of hvd, made by `hvd token new`: NAME SCOPE SHA256 MADE, a line each\n"


def read_tokens(path: Path) -> tuple[Token, ...] | None:
    """The file's tokens; None where there is no file. Raises SettingsError for what can't be read."""
    try:
        if path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):  # another user who can write in it could add a token
            raise ValueError("others may write in it: chmod 600")
        return tuple(parse_tokens(read_text(str(path))))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _trouble(path, "read", error) from None


def add_token(path: Path, token: Token) -> None:
    """Put it into the file, which is made if there is none. Raises SettingsError, also for a name that is taken."""
    with _changing(path) as lines:
        if any(_name(line) == token.name for line in lines):
            raise SettingsError(
                [f"{token.name} has a token already: give this one another name, and revoke the old one afterwards"]
            )
        lines.append(f"{token.line()}\n")


def remove_token(path: Path, name: str) -> None:
    """Take the token of that name out of the file. Raises SettingsError, also where none has that name."""
    with _changing(path) as lines:
        others = [line for line in lines if _name(line) != name]
        if len(others) == len(lines):
            names = ", ".join(filter(None, map(_name, lines)))
            raise SettingsError([f"no token has the name {quoted(name)}; there are: {names or 'none'}"])
        lines[:] = others


def _name(line: str) -> str:
    """The name of the token in a line; "" where it has none."""
    return next(iter(line.partition("#")[0].split()), "")


@contextlib.contextmanager
def _changing(path: Path) -> Iterator[list[str]]:
    """The file's lines, which are written back at the end. Raises SettingsError."""
    try:
        path = Path(os.path.realpath(path))  # where the file is a link, its target is replaced
        path.parent.mkdir(0o750, exist_ok=True)
        with _locked(path.parent):
            read_tokens(path)  # raises for what is no file of tokens
            lines = read_text(str(path)).splitlines(keepends=True) if path.exists() else [_HEADING]
            if lines and not lines[-1].endswith("\n"):
                lines[-1] += "\n"
            yield lines
            _write(path, "".join(lines))
    except OSError as error:
        raise _trouble(path, "changed", error) from None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the kernel drops if its holder dies. Raises OSError if it can't be had in time."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + LOCK_WAIT
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE)
        yield
    finally:
        os.close(fd)


def _write(path: Path, text: str) -> None:
    """Replace the file. Raises OSError; then it is as it was."""
    before = (path if path.exists() else path.parent).stat()
    replace_file(path, text, owner=(before.st_uid, before.st_gid) if os.geteuid() == 0 else None)


def _trouble(path: Path, what: str, error: OSError | ValueError) -> SettingsError:
    reason = error.strerror if isinstance(error, OSError) else error
    return SettingsError([f"tokens_file is {path}, which can't be {what}: {reason}"])
