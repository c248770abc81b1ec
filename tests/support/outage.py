"""An outage: requests that hold threads of the workers until they are let go, and where in the app they stand."""

import fcntl
import socket
from contextlib import ExitStack
from typing import Any, Self

from hvd.core.progress import read_progress
from hvd.core.slots import Slots
from tests.support.http import connect
from tests.support.server import ROOT, Server, stopped
from tests.support.waiting import PATIENCE, until

PATH = "/locked"
APP = ROOT / "tests" / "support" / "app.py"
LINE = next(number for number, text in enumerate(APP.read_text().splitlines(), 1) if "fcntl.flock(" in text)
"""Where the threads stand."""


class Stuck:
    """Requests that wait for a lock. A context manager: afterwards none of them waits, and the clients are gone."""

    def __init__(self, server: Server, threads: int) -> None:
        """`threads` is how many requests each worker serves at a time."""
        self._server, self._threads = server, threads
        self._path = server.folder / "lock"
        self._clients: list[socket.socket] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._lock = self._stack.enter_context(self._path.open("wb"))
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self

    def hold(self, number: int) -> None:
        """Until so many threads are stuck, in all, each by a client of its own."""
        while len(self._clients) < number:
            self._hold_one()

    def _hold_one(self) -> None:
        busy = self._busy()
        with ExitStack() as full:  # they would accept the connection all the same, and let it wait
            for pid, number in busy.items():
                if number >= self._threads > 1:
                    full.enter_context(stopped(pid))
            client = self._stack.enter_context(connect(self._server.address))
            client.sendall(f"GET {PATH}?file={self._path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
            self._clients.append(client)
            until(lambda: sum(self._busy().values()) >= len(self._clients), "one more thread is stuck")

    def _busy(self) -> dict[int, int]:
        """Requests that are stuck, by pid of the worker."""
        with self._server.opened() as block:
            return {
                slot.pid: sum(one.number for one in read_progress(block, slot.number) if one.text == f"GET {PATH}")
                for slot in Slots(block).taken()
                if slot.pid and slot.kind_name == "worker"
            }

    def release(self) -> list[bytes]:
        """Let them all go -> the first line of each one's answer."""
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        answers = []
        for client in self._clients:
            client.settimeout(20 * PATIENCE)
            answers.append(client.recv(65536).partition(b"\r\n")[0])
        return answers

    def __exit__(self, *exc: object) -> None:
        self._stack.close()


def stands_there(frames: list[dict[str, Any]]) -> bool:
    """Whether a stack's innermost frame is where the requests wait."""
    return bool(frames) and (frames[0]["file"], frames[0]["line"]) == (str(APP), LINE)
