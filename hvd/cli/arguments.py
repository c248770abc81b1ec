"""What the commands share: arguments, the daemon that they mean, exit codes."""

import argparse
from enum import IntEnum

from hvd.cli.client import Address
from hvd.settings.table import SETTINGS


class Exit(IntEnum):
    """What scripts rely on: a number keeps its meaning."""

    OK = 0
    UNREACHABLE = 1
    WRONG = 2
    NOT_HEALTHY = 3
    JOB_FAILED = 4
    REFUSED = 5
    STILL_OPEN = 6
    INTERRUPTED = 128 + 2
    BROKEN_PIPE = 128 + 13
    """What a shell reports of a program that SIGPIPE ended."""


EXIT_CODES = """\
exit codes:
  0 all is well, 1 no daemon answers, 2 wrong settings or arguments, 3 the daemon is not healthy,
  4 a job that was waited for failed or was cancelled, 5 the daemon refused, 6 not all jobs ended in time"""


def address(text: str) -> Address:
    """The value of --url. Raises ArgumentTypeError."""
    try:
        return Address.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def instance(text: str) -> str:
    """The value of --instance. Raises ArgumentTypeError."""
    setting = SETTINGS["instance"]
    try:
        setting.type.read(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a daemon: {setting.type.expected}") from None
    return text


def message_count(text: str) -> int:
    """A number of messages from 1 on. Raises ArgumentTypeError."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of messages from 1 on")
    return int(text)


def seconds(text: str, most: float = 3600, words: str = "3600") -> float:
    """A time above 0, up to `most`, which a complaint says in `words`. Raises ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0, up to {words}")
    return value
