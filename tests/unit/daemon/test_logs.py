"""CompanionLog of companions, through a real socket pair into a real logger."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from hvd.companion.log import MasterHandler
from hvd.daemon.logs import TURN, CompanionLog, ForwardingHandler, error_log, level_name
from tests.support.waiting import until

PID = 4711


class Recorder(logging.Handler):
    """Keeps the records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def texts(self) -> list[str]:
        return [record.getMessage() for record in self.records]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def master(recorder: Recorder) -> logging.Logger:
    """gunicorn's error log, as it were."""
    logger = logging.getLogger("tests.unit.logs")
    logger.handlers, logger.propagate = [recorder], False
    logger.setLevel(logging.INFO)
    return logger


@pytest.fixture
def lines() -> Iterator[CompanionLog]:
    lines = CompanionLog()
    yield lines
    lines.close()
    lines.companion_end.close()


@pytest.fixture
def companion(lines: CompanionLog) -> logging.Logger:
    """A companion's logger."""
    logger = logging.Logger("hvd.jobs", logging.DEBUG)
    logger.addHandler(MasterHandler(lines.companion_end.fileno()))
    return logger


def test_a_companions_line_is_logged_as_its_own(
    master: logging.Logger, recorder: Recorder, lines: CompanionLog, companion: logging.Logger
) -> None:
    """With its pid, its time, its level, its logger's name and its traceback, and only from the master's level on."""
    companion.debug("too much")
    try:
        raise ValueError("no")
    except ValueError:
        companion.exception("failed: %s", "ü\n")
    lines.drain(PID, master)
    (record,) = recorder.records
    assert (record.process, record.name, record.levelname, record.getMessage()) == (
        PID,
        "hvd.jobs",
        "ERROR",
        "failed: ü\n",
    )
    text = logging.Formatter("%(asctime)s.%(msecs)03d [%(process)d] %(message)s").format(record)
    assert "ValueError: no" in text


def test_what_is_printed_is_logged_line_by_line(
    master: logging.Logger, recorder: Recorder, lines: CompanionLog
) -> None:
    """However it was cut into writes; the last line of one that ends too."""
    for piece in (b"one\n\ntw", b"o %s\n", b"\xff three"):
        os.write(lines.companion_end.fileno(), piece)
    lines.drain(PID, master)
    assert recorder.texts == ["one", "two %s"]
    lines.drain(PID, master, to_the_end=True)
    assert recorder.texts[2:] == ["\\xff three"]
    assert {(record.process, record.levelname) for record in recorder.records} == {(PID, "ERROR")}


@pytest.mark.parametrize(
    "packet",
    [
        b"{",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"name": "x", "levelno": "x", "levelname": "x", "created": 0.0, "msecs": 0.0, "msg": "x", "exc_text": null}',
        b'{"name": "x", "levelno": 50, "levelname": "x", "created": 0.0, "msecs": 0.0, "msg": ["x"], "exc_text": null}',
    ],
)
def test_what_is_no_record_harms_no_master(
    master: logging.Logger, recorder: Recorder, lines: CompanionLog, packet: bytes
) -> None:
    """A companion may have less rights than its master has: nothing that it writes is believed, or kept without end."""
    os.write(lines.companion_end.fileno(), b"\0" + packet + b"\n")
    os.write(lines.companion_end.fileno(), b"x" * 20_000)
    lines.drain(PID, master)
    assert [text.strip("\0x")[:3] for text in recorder.texts] == [packet.decode()[:3], ""]
    assert {record.levelno for record in recorder.records} == {logging.ERROR}


def test_a_master_that_does_not_read_holds_nobody_up(
    master: logging.Logger, recorder: Recorder, lines: CompanionLog, companion: logging.Logger
) -> None:
    """CompanionLog are lost then; how many, is said once there is room."""
    for number in range(TURN):
        companion.info("%d %s", number, "x" * 1000)
    lines.drain(PID, master)
    arrived = len(recorder.records)
    assert 20 < arrived < TURN
    logging.getLogger("hvd.companion.log").addHandler(companion.handlers[0])
    try:
        companion.info("room again")
    finally:
        logging.getLogger("hvd.companion.log").removeHandler(companion.handlers[0])
    lines.drain(PID, master)
    assert recorder.texts[arrived:] == [
        "room again",
        f"{TURN - arrived} log lines were lost: the master did not read them in time",
    ]


def test_a_flood_is_passed_on_in_turns(
    master: logging.Logger, recorder: Recorder, lines: CompanionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The master does other things too, whatever a companion prints."""
    monkeypatch.setattr("hvd.daemon.logs.TURN", 2)
    for _ in range(5):
        os.write(lines.companion_end.fileno(), b"x\n")
    for read in (2, 4, 5):
        lines.drain(PID, master)
        assert len(recorder.records) == read


def test_a_line_wakes_the_masters_loop(lines: CompanionLog) -> None:
    """By SIGCHLD, which gunicorn's loop waits for; at a stop, when that loop looks by itself, by nothing."""
    signals: list[int] = []
    before = signal.signal(signal.SIGCHLD, lambda signum, frame: signals.append(signum))
    try:
        os.write(lines.companion_end.fileno(), b"x\n")
        until(lambda: signals, "the signal has come")
        lines.stop_waking()
        signals.clear()
        os.write(lines.companion_end.fileno(), b"x\n")
        signal.raise_signal(signal.SIGCHLD)
        assert len(signals) == 1
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_long_line_is_cut(
    master: logging.Logger, recorder: Recorder, lines: CompanionLog, companion: logging.Logger
) -> None:
    """What is left of it arrives."""
    companion.error("é" * 1_000_000)
    os.write(lines.companion_end.fileno(), b"y" * 100_000 + b"\n")
    lines.drain(PID, master)
    assert [text[:1] for text in recorder.texts] == ["é", "y"]
    assert max(map(len, recorder.texts)) < 100_000


def test_a_master_that_is_gone_ends_nobody(lines: CompanionLog, companion: logging.Logger) -> None:
    """The kernel ends its companions; until then they can't log."""
    lines.close()
    companion.error("anybody?")


def test_an_exception_that_ends_a_companion_is_one_record(
    master: logging.Logger, recorder: Recorder, lines: CompanionLog
) -> None:
    """With its traceback, so that it is one entry of a log of JSON too."""
    code = "from hvd.companion.log import log_to_master; log_to_master('info'); print('before', flush=True); 1 / 0"
    end = lines.companion_end.fileno()
    subprocess.run([sys.executable, "-c", code], stdout=end, stderr=end, check=False)
    until(lambda: lines.drain(PID, master) or len(recorder.records) == 2, "two lines have come")
    assert recorder.texts == ["before", "ended by an exception"]
    assert "ZeroDivisionError" in str(recorder.records[1].exc_text)


def test_modules_log_through_gunicorns_logger(master: logging.Logger, recorder: Recorder) -> None:
    """Its handlers and its level are asked at each line: both change at a reload."""
    ours = logging.Logger("hvd.x", logging.DEBUG)
    ours.addHandler(ForwardingHandler(master))
    ours.debug("no")
    master.setLevel(logging.DEBUG)
    ours.debug("yes")
    assert recorder.texts == ["yes"]


def test_the_level_is_told_by_a_name_that_settings_have() -> None:
    """The next more talkative one where it has none."""
    levels = {10: "debug", 20: "info", 25: "info", 5: "debug", 50: "critical", 99: "critical"}
    assert {level: level_name(logging.Logger("x", level)) for level in levels} == levels


def test_gunicorns_logger_has_the_error_log() -> None:
    """What records of other processes are given to (27.0.1, glogging.py)."""
    from gunicorn.config import Config
    from gunicorn.glogging import Logger

    log = Logger(Config())
    assert error_log(log) is logging.getLogger("gunicorn.error")
    assert error_log(logging.getLogger("x")) is logging.getLogger("x")
