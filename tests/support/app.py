"""hvd's own app with routes that tests need: statuses at will, slowness, CPU, memory, threads, deaths."""

import ctypes
import fcntl
import mmap
import os
import re
import signal
import threading
import time
from collections.abc import Iterator

import falcon

from hvd.instrument.wsgi import counted
from hvd.runtime import here
from hvd.web.app import create_app

_kept: list[object] = []


class Hello:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = {"pid": os.getpid()}

    on_post = on_get


class WithStatus:
    """`/status-of/{code}` answers with that status."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, code: str) -> None:
        resp.status = int(code)
        resp.media = {"status": code}


class Item:
    def on_get(self, req: falcon.Request, resp: falcon.Response, number: str) -> None:
        resp.media = {"item": number}


class Slow:
    """`/slow?s=1.5` answers after that many seconds, `/slow/{any}?s=1.5` too."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, any: str = "") -> None:
        time.sleep(float(req.get_param("s", default="1")))
        resp.media = {"pid": os.getpid()}


class Gate:
    """`/gate?file=/tmp/open` answers once that file is there."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        while not os.path.exists(req.get_param("file", required=True)):
            time.sleep(0.01)
        resp.media = {"pid": os.getpid()}


class Locked:
    """`/locked?file=/tmp/lock` answers once nobody has that file's exclusive lock: it waits in C, at one line."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        with open(req.get_param("file", required=True), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)  # where stacks of it stand
        resp.media = {"pid": os.getpid()}


class Hold:
    """`/hold?s=60` keeps the interpreter's lock that long: no other thread of the process runs."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        ctypes.PyDLL(None).sleep(req.get_param_as_int("s", default=60))
        resp.media = {"pid": os.getpid()}


class Burn:
    """`/burn?s=1` uses that much CPU time of this thread."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        end = time.thread_time() + float(req.get_param("s", default="1"))
        while time.thread_time() < end:
            pass
        resp.media = {"pid": os.getpid()}


class Allocate:
    """`/allocate?mb=100` keeps that much memory, written to."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        _kept.append(bytearray(os.urandom(1)) * (req.get_param_as_int("mb", default=100) * 1024 * 1024))
        resp.media = {"pid": os.getpid()}


class Threads:
    """`/threads?n=7` starts that many threads, which stay."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        for _ in range(req.get_param_as_int("n", default=7)):
            threading.Thread(target=threading.Event().wait, daemon=True).start()
        resp.media = {"pid": os.getpid()}


class Stuck:
    """`/stuck/{how}` never answers: in a regular expression that keeps the interpreter's lock, a loop, a sleep, a lock,
    a read from a pipe, or a call in C without the interpreter's lock.
    """

    def on_get(self, req: falcon.Request, resp: falcon.Response, how: str) -> None:
        getattr(self, how)()

    def regex(self) -> None:
        re.match("(a*)*b", "a" * 40)

    def loop(self) -> None:
        while True:
            _add(1, 2)

    def sleep(self) -> None:
        time.sleep(1000)

    def lock(self) -> None:
        lock = threading.Lock()
        with lock, lock:
            pass

    def read(self) -> None:
        reader, _ = os.pipe()
        os.read(reader, 1)

    def held(self) -> None:
        """read(2), with the interpreter's lock."""
        ctypes.PyDLL(None).read(os.pipe()[0], ctypes.create_string_buffer(1), 1)

    def pause(self) -> None:
        """poll(2) until its time is over, as a client of a database does it."""
        libc = ctypes.CDLL(None)
        while True:
            libc.poll(None, 0, 100_000)


def _add(one: int, other: int) -> int:
    return one + other


class Crash:
    """`/crash/{how}`: segv (of an address that isn't there), abort(3), bus (behind the end of a mapped file)."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, how: str) -> None:
        getattr(self, how)()

    def segv(self) -> None:
        ctypes.string_at(0)

    def abort(self) -> None:
        os.abort()

    def bus(self) -> None:
        fd = os.memfd_create("empty")
        os.ftruncate(fd, 4096)
        mapped = mmap.mmap(fd, 4096)
        os.ftruncate(fd, 0)
        mapped[0] = 1


class Die:
    """`/die/{how}`: kill, segv, exit (of the process), sysexit (SystemExit in the request), base (a BaseException)."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, how: str) -> None:
        if how == "exit":
            os._exit(7)
        if how == "sysexit":
            raise SystemExit(5)
        if how == "base":
            raise BaseException("out of every control")
        os.kill(os.getpid(), {"kill": signal.SIGKILL, "segv": signal.SIGSEGV}[how])
        time.sleep(10)


class Boom:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        raise ValueError("boom")


class Stream:
    """`/stream?n=5&s=0.1&fail=1` sends n chunks, a pause before each, and then may fail."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        count, pause = req.get_param_as_int("n", default=5), float(req.get_param("s", default="0"))
        fail = req.get_param("fail")

        def chunks() -> Iterator[bytes]:
            for _ in range(count):
                time.sleep(pause)
                yield b"x" * 1000
            if fail:
                raise ValueError("failed in the middle")

        resp.stream = chunks()


falcon_app = create_app(here)
for template, resource in {
    "/hello": Hello(),
    "/status-of/{code}": WithStatus(),
    "/items/{number}": Item(),
    "/slow": Slow(),
    "/slow/{any}": Slow(),
    "/gate": Gate(),
    "/locked": Locked(),
    "/hold": Hold(),
    "/burn": Burn(),
    "/allocate": Allocate(),
    "/threads": Threads(),
    "/die/{how}": Die(),
    "/stuck/{how}": Stuck(),
    "/crash/{how}": Crash(),
    "/boom": Boom(),
    "/stream": Stream(),
}.items():
    falcon_app.add_route(template, resource)

app = counted(falcon_app, here)
