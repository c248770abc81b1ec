"""Log lines of companions, through a real socket pair into a real logger."""

import io
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from hvd.companion.log import MasterHandler
from hvd.daemon.logs import (
    TURN,
    CompanionLog,
    ForwardingHandler,
    error_log,
    forward,
    level_name,
    make_harmless,
    suit_journal,
)
from tests.support.waiting import until

PID = 4711


class Scene(logging.Handler):
    """A companion's log, its logger, and the records that its master, gunicorn's error log as it were, logs of it."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.master = logging.getLogger("tests.unit.logs")
        self.master.handlers, self.master.propagate = [self], False
        self.master.setLevel(logging.INFO)
        self.lines = CompanionLog()
        self.end = self.lines.companion_end.fileno()
        self.companion = logging.Logger("hvd.jobs", logging.DEBUG)
        self.companion.addHandler(MasterHandler(self.end))

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def texts(self) -> list[str]:
        return [record.getMessage() for record in self.records]

    def write(self, *packets: bytes) -> None:
        for packet in packets:
            os.write(self.end, packet)

    def drain(self, *, to_the_end: bool = False) -> None:
        self.lines.drain(PID, self.master, to_the_end=to_the_end)


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.lines.close()
    scene.lines.companion_end.close()


def test_a_companions_line_is_logged_as_its_own(scene: Scene) -> None:
    """With its pid, its time, its level, its logger's name and its traceback, and only from the master's level on."""
    scene.companion.debug("too much")
    try:
        raise ValueError("no")
    except ValueError:
        scene.companion.exception("failed: %s", "ü\n")
    scene.drain()
    (record,) = scene.records
    assert (record.process, record.name, record.levelname) == (PID, "hvd.jobs", "ERROR")
    assert record.getMessage() == "failed: ü\\n"
    text = logging.Formatter("%(asctime)s.%(msecs)03d [%(process)d] %(message)s").format(record)
    assert "ValueError: no" in text


def test_what_is_printed_is_logged_line_by_line(scene: Scene) -> None:
    """However it was cut into writes; the last line of one that ends too."""
    scene.write(b"one\n\ntw", b"o %s\n", b"\xff three")
    scene.drain()
    assert scene.texts == ["one", "two %s"]
    scene.drain(to_the_end=True)
    assert scene.texts[2:] == ["\\xff three"]
    assert {(record.process, record.levelname) for record in scene.records} == {(PID, "ERROR")}


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
def test_what_is_no_record_harms_no_master(scene: Scene, packet: bytes) -> None:
    """A companion may have less rights than its master has: nothing that it writes is believed, or kept without end."""
    scene.write(b"\0" + packet + b"\n", b"x" * 20_000)
    scene.drain()
    assert [text.strip("\0x")[:3] for text in scene.texts] == [packet.decode()[:3], ""]
    assert {record.levelno for record in scene.records} == {logging.ERROR}


def test_a_master_that_does_not_read_holds_nobody_up(scene: Scene) -> None:
    """Lines are lost then; how many, is said once there is room."""
    for number in range(TURN):
        scene.companion.info("%d %s", number, "x" * 1000)
    scene.drain()
    arrived = len(scene.records)
    assert 20 < arrived < TURN
    logging.getLogger("hvd.companion.log").addHandler(scene.companion.handlers[0])
    try:
        scene.companion.info("room again")
    finally:
        logging.getLogger("hvd.companion.log").removeHandler(scene.companion.handlers[0])
    scene.drain()
    lost = f"{TURN - arrived} log lines were lost: the master did not read them in time"
    assert scene.texts[arrived:] == ["room again", lost]


def test_a_flood_is_passed_on_in_turns(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The master does other things too, whatever a companion prints."""
    monkeypatch.setattr("hvd.daemon.logs.TURN", 2)
    scene.write(*[b"x\n"] * 5)
    for read in (2, 4, 5):
        scene.drain()
        assert len(scene.records) == read


def test_a_line_wakes_the_masters_loop(scene: Scene) -> None:
    """By SIGCHLD, which gunicorn's loop waits for; at a stop, when that loop looks by itself, by nothing."""
    signals: list[int] = []
    before = signal.signal(signal.SIGCHLD, lambda signum, frame: signals.append(signum))
    try:
        scene.write(b"x\n")
        until(lambda: signals, "the signal has come")
        scene.lines.stop_waking()
        signals.clear()
        scene.write(b"x\n")
        signal.raise_signal(signal.SIGCHLD)
        assert len(signals) == 1
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_long_line_is_cut(scene: Scene) -> None:
    """What is left of it arrives."""
    scene.companion.error("é" * 1_000_000)
    scene.write(b"y" * 100_000 + b"\n")
    scene.drain()
    assert [text[:1] for text in scene.texts] == ["é", "y"]
    assert max(map(len, scene.texts)) < 100_000


def test_a_master_that_is_gone_ends_nobody(scene: Scene) -> None:
    """The kernel ends its companions; until then they can't log."""
    scene.lines.close()
    scene.companion.error("anybody?")


def test_an_exception_that_ends_a_companion_is_one_record(scene: Scene) -> None:
    """With its traceback, so that it is one entry of a log of JSON too."""
    code = "from hvd.companion.log import log_to_master; log_to_master('info'); print('before', flush=True); 1 / 0"
    subprocess.run([sys.executable, "-c", code], stdout=scene.end, stderr=scene.end, check=False)
    until(lambda: scene.drain() or len(scene.records) == 2, "two lines have come")
    assert scene.texts == ["before", "ended by an exception"]
    assert "ZeroDivisionError" in str(scene.records[1].exc_text)


def test_modules_log_through_gunicorns_logger(scene: Scene) -> None:
    """Its handlers and its level are asked at each line: both change at a reload."""
    ours = logging.Logger("hvd.x", logging.DEBUG)
    ours.addHandler(ForwardingHandler(scene.master))
    ours.debug("no")
    scene.master.setLevel(logging.DEBUG)
    ours.debug("yes")
    assert scene.texts == ["yes"]


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


def test_an_apps_own_lines_are_left_alone() -> None:
    """A guest may colour its lines; hvd's are harmless there too, and all are in its own daemon, requests included."""

    def text(*, is_guest: bool, message: str, log: str = "error_log") -> str:
        logs = SimpleNamespace(error_log=logging.Logger("gunicorn.error"), access_log=logging.Logger("gunicorn.access"))
        make_harmless(logs, is_guest=is_guest)
        record = logging.makeLogRecord({"name": "x", "msg": message})
        assert getattr(logs, log).filter(record)
        return record.getMessage()

    assert text(is_guest=True, message="\x1b[31mred") == "\x1b[31mred"
    assert text(is_guest=True, message="hvd: \x1b") == "hvd: \\x1b"
    assert text(is_guest=False, message="\x1b[31mred") == "\\x1b[31mred"
    assert text(is_guest=False, message="GET /\x9b", log="access_log") == "GET /\\x9b"


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Logger, socket.socket]]:
    """gunicorn's log, whose standard error is a socket that JOURNAL_STREAM names; and the journal's end of it."""
    ours, journals = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, journals, os.fdopen(os.dup(ours.fileno()), "w") as stream:
        file = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{file.st_dev}:{file.st_ino}")
        monkeypatch.setattr(sys, "stderr", stream)
        log = Logger(Config())
        yield log, journals
        for handler in [*log.error_log.handlers]:
            log.error_log.removeHandler(handler)


def test_lines_for_the_journal_have_a_priority_and_no_time(journal: tuple[Logger, socket.socket]) -> None:
    """Each line of a traceback too; the pid only where it isn't that of the process that prints."""
    log, journals = journal
    log.error_log.setLevel(logging.DEBUG)
    suit_journal(log)
    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(log, level)("a\nb")
    record = logging.makeLogRecord({"levelno": logging.WARNING, "msg": "of another", "process": PID})
    forward(record, error_log(log))
    try:
        raise ValueError("no\n<0>forged")
    except ValueError:
        log.exception("failed")
    lines = journals.recv(65536).decode().splitlines()
    assert lines[:10] == [f"<{number}>{text}" for number in (7, 6, 4, 3, 2) for text in "ab"]
    assert lines[10:13] == [f"<4>[{PID}] of another", "<3>failed", "<3>Traceback (most recent call last):"]
    assert lines[-2:] == ["<3>ValueError: no", "<3><0>forged"]


def test_a_form_of_the_users_own_stays(journal: tuple[Logger, socket.socket]) -> None:
    """As does gunicorn's, where the log goes elsewhere than to the journal."""
    log, journals = journal
    (handler,) = (handler for handler in log.error_log.handlers if hasattr(handler, "_gunicorn"))
    handler.setFormatter(logging.Formatter("own %(message)s"))
    elsewhere, usual = logging.StreamHandler(io.StringIO()), logging.Formatter(log.error_fmt, log.datefmt)
    elsewhere.setFormatter(usual)
    log.error_log.addHandler(elsewhere)
    suit_journal(log)
    log.info("a")
    assert journals.recv(100) == b"own a\n"
    assert elsewhere.formatter is usual
