"""The exit codes that scripts rely on."""

import re

from hvd.cli.arguments import EXIT_CODES, Exit


def test_the_help_has_every_code_of_a_command() -> None:
    """What ended by a signal has the shell's own."""
    assert [int(digits) for digits in re.findall(r"\b\d\b", EXIT_CODES)] == [code for code in Exit if code < 128]
