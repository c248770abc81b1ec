"""What several commands take as arguments, and the daemon that they mean."""

import argparse

from hvd.cli.client import Address
from hvd.errors import SettingsError
from hvd.settings.loader import load
from hvd.texts import as_toml


def address(text: str) -> Address:
    """The value of --url. Raises ArgumentTypeError."""
    try:
        return Address.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


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


def target(args: argparse.Namespace) -> tuple[Address, float]:
    """The daemon to ask, and the age in s from which what it observed is stale: two intervals and some.

    Raises SettingsError where neither --url nor the settings name one.
    """
    if args.url:
        return args.url, 5.0
    settings = load().settings
    try:
        return Address.of_bind(settings.bind), 2 * settings.interval + 1
    except ValueError:
        raise SettingsError([f"bind is {as_toml(settings.bind)}, which names no port to ask: use --url"]) from None
