"""A companion's log; how the master takes its records: tests/unit/daemon/test_logs.py."""

import logging

import pytest

from hvd.companion.log import MasterHandler


def test_a_line_that_can_not_be_made_harms_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    """It is reported as logging does."""
    logger = logging.Logger("hvd.x")
    logger.addHandler(MasterHandler(-1))
    logger.warning("%d", "no number")
    assert "no number" in capsys.readouterr().err
