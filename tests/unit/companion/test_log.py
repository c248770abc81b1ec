"""A companion's log; how the master takes its records: tests/unit/daemon/test_logs.py."""

import logging
from pathlib import Path

import pytest

from hvd.companion.log import Harmless, MasterHandler
from hvd.daemon.logs import HarmlessHere

HOSTILE = "a\x1b[2J\x9b\u202e\r\nb"
SAFE = "a\\x1b[2J\\x9b\\u202e\\r\\nb"


def test_a_line_that_can_not_be_made_harms_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    """It is reported as logging does."""
    logger = logging.Logger("hvd.x")
    logger.addHandler(MasterHandler(-1))
    logger.warning("%d", "no number")
    assert "no number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("message", "args", "text"),
    [
        ("job %s: %s", (7, HOSTILE), f"job 7: {SAFE}"),
        ("%s: %d%%", (ValueError(HOSTILE), 3), f"{SAFE}: 3%"),
        ("all of it:\n%s", ("one\n\ttwo\u202e",), "all of it:\none\n\ttwo\\u202e"),
        ("%(r)s", ({"r": HOSTILE},), SAFE),
        ("100%\x1b\nnext", (), "100%\\x1b\nnext"),
        (ValueError(HOSTILE), (), SAFE.replace("\\n", "\n")),
        ("%s", (Path(HOSTILE),), SAFE),
        ("über", (), "über"),
    ],
)
def test_what_others_wrote_is_harmless_in_a_log(message: object, args: tuple[object, ...], text: str) -> None:
    """It begins no line either: a line of the log could be made up otherwise."""
    record = logging.LogRecord("hvd", logging.ERROR, "", 0, message, args, None)  # type: ignore[arg-type]
    assert Harmless().filter(record)
    assert record.getMessage() == text


def test_what_has_no_text_harms_nobody_who_logs(capsys: pytest.CaptureFixture[str]) -> None:
    """logging reports it, as without hvd."""

    class BrokenError(ValueError):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    logger = logging.Logger("gunicorn.error")
    logger.addHandler(logging.StreamHandler())
    for harmless in (Harmless(), HarmlessHere()):
        logger.addFilter(harmless)
        logger.warning(BrokenError())
        logger.warning("hvd: %s", BrokenError())
        logger.warning("%(r)s %(s)s", {"r": 1})
    assert capsys.readouterr().err.count("Logging error") == 6


def test_so_is_a_traceback() -> None:
    """Whose lines stay lines."""
    try:
        raise ValueError(HOSTILE)
    except ValueError as error:
        record = logging.LogRecord("hvd", logging.ERROR, "", 0, "x", (), (type(error), error, error.__traceback__))
    Harmless().filter(record)
    assert record.exc_text
    assert record.exc_text.endswith("ValueError: a\\x1b[2J\\x9b\\u202e\\r\nb")
