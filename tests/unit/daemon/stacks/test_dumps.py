"""How a worker tells where its threads stand: asked, dumped, crashed."""

import faulthandler
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from hvd.core.stacks import CRASHED, DUMPED, StackFile
from hvd.daemon.stacks.dumps import ASK, DUMP, FRAMES, Dumps, back, render
from hvd.read.stacks import parse, read_crash
from tests.support.waiting import until
from tests.unit.core.support import ended, fork, forked
from tests.unit.daemon.stacks.conftest import SLOT


def begin(dumps: Dumps, file: StackFile) -> None:
    dumps.begin()
    file.write(SLOT, "ready")


def sleep_on() -> None:
    while True:
        time.sleep(60)


def test_a_process_answers_by_its_python_code(file: StackFile, dumps: Dumps) -> None:
    """Each request that is noted, with all its threads, and goes on."""

    def live() -> None:
        threading.Thread(target=sleep_on, daemon=True).start()
        begin(dumps, file)
        sleep_on()

    with forked(live) as pid:
        until(lambda: file.read(SLOT) == "ready", "it is ready")
        for number in (5, 6):
            file.ask(SLOT, number)
            os.kill(pid, ASK)
            until(lambda number=number: file.answered(SLOT) == number, "it has answered")
            main, other = parse(file.read(SLOT))
            assert main.is_current
            assert [one["function"] for one in main.frames][:2] == [
                "sleep_on",
                "test_a_process_answers_by_its_python_code.<locals>.live",
            ]
            assert other.frames[0]["function"] == "sleep_on"
        file.write(SLOT, "nobody asks")
        file.ask(SLOT, 0)
        os.kill(pid, ASK)
        os.kill(pid, DUMP)
        until(lambda: "in live" in file.read(SLOT, DUMPED), "it has dumped")
        assert file.read(SLOT) == "nobody asks"


@pytest.mark.parametrize(
    ("signum", "reason"),
    [(signal.SIGSEGV, "Segmentation fault"), (signal.SIGBUS, "Bus error"), (signal.SIGABRT, "Aborted")],
)
def test_a_crash_leaves_its_stacks(file: StackFile, dumps: Dumps, signum: signal.Signals, reason: str) -> None:
    """And ends the process by the signal."""

    def crash() -> None:
        dumps.begin()
        os.kill(os.getpid(), signum)

    assert ended(fork(crash)) == -signum
    left = read_crash(file, SLOT)
    assert left
    assert left.reason == reason
    assert [one["function"] for one in left.frames][:1] == ["crash"]


def test_a_handler_of_sigabrt_runs_after_the_stacks_are_left(file: StackFile, dumps: Dumps) -> None:
    """Once; abort(3) ends the process all the same."""

    def live(end: object) -> None:
        dumps.begin()
        dumps.release_crashes()
        signal.signal(signal.SIGABRT, lambda *_: file.write(SLOT, file.read(SLOT) + "handled "))
        dumps.catch_crashes()
        os.kill(os.getpid(), signal.SIGABRT)
        os.abort()

    assert ended(fork(lambda: live(None))) == -signal.SIGABRT
    assert file.read(SLOT) == "handled "
    assert file.read(SLOT, CRASHED).count("Fatal Python error: Aborted") == 1


def test_the_crash_of_a_forked_child_is_not_the_workers(file: StackFile, dumps: Dumps) -> None:
    """As multiprocessing forks them; it doesn't answer for the worker either."""

    def live() -> None:
        dumps.begin()
        assert ended(fork(lambda: os.kill(os.getpid(), signal.SIGSEGV))) == -signal.SIGSEGV
        file.ask(SLOT, 9)
        assert ended(fork(lambda: os.kill(os.getpid(), ASK))) == 0
        assert faulthandler.is_enabled()

    assert ended(fork(live)) == 0
    assert file.read(SLOT, CRASHED) == ""
    assert file.answered(SLOT) == 0


def test_who_has_asked_for_faulthandler_keeps_it_in_children() -> None:
    """PYTHONFAULTHANDLER: a forked child's crash goes to standard error, as without hvd."""
    script = (
        "import os, signal; from hvd.core.stacks import *; from hvd.daemon.stacks.dumps import Dumps\n"
        "file = StackFile(); Dumps(file, 0, file.open_area(0, DUMPED)).begin()\n"
        "pid = os.fork()\n"
        "pid or os.kill(os.getpid(), signal.SIGSEGV)\n"
        "os.waitpid(pid, 0); print(repr(file.read(0, CRASHED)))\n"
    )
    environ = {**os.environ, "PYTHONFAULTHANDLER": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, timeout=60, check=True
    )
    assert "Fatal Python error: Segmentation fault" in done.stderr
    assert done.stdout == "''\n"


def test_stacks_are_written_as_faulthandler_writes_them() -> None:
    """Bounded, and one line a frame whatever a file is called."""

    def deep(left: int) -> str:
        return deep(left - 1) if left else render({threading.get_ident(): back(sys._getframe())}, threading.get_ident())

    current = parse(deep(2 * FRAMES))[0]
    assert (current.thread, current.is_current) == (threading.get_ident(), True)
    code = compile("text = render({7: back(sys._getframe())}, 0)", "/odd\nname ü", "exec")
    names = {"back": back, "render": render, "sys": sys}
    exec(code, names)
    (thread,) = parse(str(names["text"]))
    assert thread.thread == 7
    assert thread.frames[0]["file"].startswith("/odd?name")
    assert deep(2 * FRAMES).split("\n")[FRAMES + 1] == ""
