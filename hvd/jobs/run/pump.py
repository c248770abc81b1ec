"""Reads what jobs print, all of them in one thread, so that neither a flood nor a slow disk delays the runner's loop.

A job writes into a pipe, so it notices neither a full disk nor a limit of its output.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import select
import threading
from collections import deque
from collections.abc import Callable

READ = 256 * 1024  # bytes read at a time, and that a pipe may hold: a flood takes a quarter of the calls
REST = 8  # reads once a job is over: more than a pipe holds; what left its group may go on writing

log = logging.getLogger("hvd.jobs")


class Stream:
    """One job's pipe; `take` gets all that is read, `closed` is called at its end: both in the pump's thread."""

    def __init__(self, fd: int, take: Callable[[bytes], None], closed: Callable[[], None]) -> None:
        self.fd = fd  # -1 once it is closed, and all that was read has been taken
        self.take, self.closed = take, closed


class Pump:
    """The thread that reads. Its methods are for the event loop's thread, in which `finish` calls back."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._streams: dict[int, Stream] = {}
        self._finishing: deque[tuple[Stream, Callable[[], None]]] = deque()
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)
        self._thread.start()

    def add(self, fd: int, take: Callable[[bytes], None], closed: Callable[[], None]) -> Stream:
        """Read that pipe from now on, and close it at its end. Where it raises OSError, the pipe is closed."""
        os.set_blocking(fd, False)
        with contextlib.suppress(OSError):  # where a user's pipes have all the memory that they may
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, READ)
        stream = self._streams[fd] = Stream(fd, take, closed)
        try:
            self._epoll.register(fd, select.EPOLLIN)
        except OSError:
            del self._streams[fd]
            os.close(fd)
            raise
        return stream

    def finish(self, stream: Stream, done: Callable[[], None]) -> None:
        """Read what is left, close the pipe, and call `done` in the event loop; at once where its end was read."""
        if stream.fd < 0:
            self._loop.call_soon(done)
            return
        self._finishing.append((stream, done))
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """End the thread; wait for it a second at most, as it may be waiting for a disk."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        self._thread.join(1.0)

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._turn()
            except Exception:  # a fault of ours must not end the other jobs' output
                log.exception("output of a job could not be taken")
        for stream in list(self._streams.values()):
            self._drop(stream)
        self._epoll.close()
        os.close(self._wake)

    def _turn(self) -> None:
        for fd, _ in self._epoll.poll():
            if fd == self._wake:
                os.eventfd_read(self._wake)
            elif fd in self._streams:
                self._read(self._streams[fd])
        while self._finishing:
            self._finish(*self._finishing.popleft())

    def _read(self, stream: Stream) -> bool:
        """False when nothing is left."""
        try:
            data = os.read(stream.fd, READ)
        except BlockingIOError:
            return False
        if not data:
            self._drop(stream)
            return False
        stream.take(data)
        return True

    def _finish(self, stream: Stream, done: Callable[[], None]) -> None:
        try:
            for _ in range(REST):
                if stream.fd < 0 or not self._read(stream):
                    break
        finally:
            self._drop(stream)
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(done)

    def _drop(self, stream: Stream) -> None:
        if stream.fd >= 0:
            del self._streams[stream.fd]
            self._epoll.unregister(stream.fd)  # closing is not enough while a job is being started: its fork has it too
            os.close(stream.fd)
            try:
                stream.closed()
            finally:
                stream.fd = -1
