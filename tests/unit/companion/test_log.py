"""A companion's log; how the master takes it: tests/unit/daemon/test_logs.py."""

import logging
import socket

import pytest

from hvd.companion.log import RECORD, MasterHandler, decode


def test_a_record_arrives_whole() -> None:
    """Its text, whose arguments are filled in, and its traceback."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    logger = logging.Logger("hvd.x")
    logger.addHandler(MasterHandler(theirs.fileno()))
    with ours, theirs:
        try:
            raise ValueError("no")
        except ValueError:
            logger.exception("failed: %s", "ü\n")
        packet = ours.recv(65536)
    record = decode(packet.removeprefix(RECORD))
    assert record
    assert (record.name, record.levelname, record.getMessage()) == ("hvd.x", "ERROR", "failed: ü\n")
    assert "ValueError: no" in str(record.exc_text)


def test_a_line_that_can_not_be_made_harms_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    """It is reported as logging does."""
    logger = logging.Logger("hvd.x")
    logger.addHandler(MasterHandler(-1))
    logger.warning("%d", "no number")
    assert "no number" in capsys.readouterr().err
