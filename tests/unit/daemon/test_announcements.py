"""What a daemon logs of itself."""

import logging

import pytest

from hvd import __version__
from hvd.core.block import Block
from hvd.daemon.announcements import log_end, log_start

LOG = logging.getLogger("test")


def test_a_start_and_an_end_are_a_line_each(block: Block, caplog: pytest.LogCaptureFixture) -> None:
    """What runs here, and what it has counted."""
    caplog.set_level(logging.INFO)
    log_start(LOG, block, True, ["http://127.0.0.1:1"])
    log_start(LOG, block, False, [])
    log_end(LOG, block)
    start, again, end = caplog.messages
    for part in (__version__, "_hotrow compiled", "_counting compiled", f"/dev/shm/{block.name}", "http://127.0.0.1:1"):
        assert part in start
    assert f"{block.name} (its totals go on)" in again
    assert f"hvd {__version__} ends: 0 requests finished, 0 of them errors, 0 aborted" in end


def test_what_is_not_compiled_is_reported(
    block: Block, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One warning that names it; a checkout without a compiler is legitimate."""
    monkeypatch.setattr("hvd.core.hot.IS_COMPILED", False)
    log_start(LOG, block, True, [])
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "hvd.core._hotrow can't be used" in warning
    assert "compiler" in warning
