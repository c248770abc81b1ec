"""The arguments of a companion, from the master's side to its own."""

import pytest

from hvd.companion.command import Command

COMMAND = Command("hvd-a", 3, 4711, {"block": 5, "wake": 6})


def test_what_the_master_says_arrives() -> None:
    """Names and numbers, and nothing else."""
    assert Command.parse("hvd.x", COMMAND.descriptors, COMMAND.arguments()) == COMMAND


def test_each_descriptor_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, as for any wrong use of a command."""
    with pytest.raises(SystemExit, match="2"):
        Command.parse("hvd.x", (*COMMAND.descriptors, "events"), COMMAND.arguments())
    assert "--events-fd" in capsys.readouterr().err
