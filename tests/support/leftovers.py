"""What a test leaves behind in the process that runs it, where another test would meet it."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.waiting import PATIENCE

SECONDS = 10  # that threads and processes may take to end, once they have been told to
TASKS = Path("/proc/self/task")
OF_PYTEST = ("PYTEST_CURRENT_TEST", "PYTEST_VERSION")
OF_SESSION = ("postgres",)  # begun by the first test that needs it, and used by all
SIGNALS = signal.valid_signals() - {signal.SIGALRM}  # that one is of pytest-timeout


@contextmanager
def nothing_left() -> Iterator[None]:
    """AssertionError if what is done meanwhile leaves a thread or a child process, or does not leave this process as
    it was.
    """
    before, running = _state(), _running()
    yield
    after = _state()
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    assert not changed, f"not as it was before the test: {', '.join(changed)}"
    deadline = time.monotonic() + SECONDS * PATIENCE
    while left := sorted(_running() - running):
        assert time.monotonic() < deadline, f"left behind by the test: {', '.join(left)}"
        time.sleep(0.02)


def _state() -> Mapping[str, object]:
    """What others in this process may look at."""
    variables = {f"variable {name}": value for name, value in os.environ.items() if name not in OF_PYTEST}
    handlers = {f"handler of signal {number}": signal.getsignal(number) for number in SIGNALS}
    hooks = {"sys.excepthook": sys.excepthook, "threading.excepthook": threading.excepthook, "folder": os.getcwd()}
    return {**variables, **handlers, **hooks}


def _running() -> set[str]:
    """Threads, and child processes: zombies too, for which nobody has waited."""
    threads = {f"thread {thread.name} ({thread.ident})" for thread in threading.enumerate()}
    commands = {pid: _command(pid) for pid in children()}
    return threads | {f"process {pid} ({name})" for pid, name in commands.items() if name not in OF_SESSION}


@contextmanager
def no_child_left() -> Iterator[None]:
    """Child processes that come meanwhile, orphans that fall to a subreaper too, are killed and reaped in the end."""
    before = children()
    try:
        yield
    finally:
        for pid in children() - before:
            with suppress(ProcessLookupError, ChildProcessError):  # another thread waits for it
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def children() -> set[int]:
    """Child processes of this one, zombies too."""
    pids: set[int] = set()
    for task in TASKS.iterdir():
        try:
            pids.update(map(int, (task / "children").read_text().split()))
        except OSError:  # the thread has ended
            continue
    return pids


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[0].partition("(")[2]
    except OSError:
        return "it has ended"
