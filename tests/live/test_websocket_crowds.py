"""What clients cost: descriptors, threads; thousands of them at once."""

import selectors
import socket
import struct
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.support.http import Address, connect
from tests.support.server import Server, stopped
from tests.support.waiting import PATIENCE, until
from tests.support.websocket import (
    CLOSE,
    INTERVAL,
    Witness,
    clients,
    close_code,
    handshake,
)
from tests.support.ws import PROPER, RawWebSocket


@pytest.mark.parametrize("worker_class", ["sync", "gthread"])
def test_clients_that_come_and_go_leave_no_descriptor(tmp_path: Path, worker_class: str) -> None:
    """50 rounds: once no connection is left, workers and aggregator have no more open files than before."""
    with Server(tmp_path, worker_class=worker_class, workers=2, interval=INTERVAL, keepalive=1) as server:
        for number in range(10):  # what is opened once is open now
            one_round(server, number)
        before = until(lambda: descriptors_at_rest(server), "no connection is there")
        for number in range(50):
            one_round(server, number)
        until(lambda: clients(server) == 0, "nobody is left")
        until(lambda: descriptors_at_rest(server), "no connection is left")
        # the aggregator has a file of /proc open now and then
        until(lambda: is_within(descriptors_at_rest(server), before), f"descriptors are {before} again", 10)
        assert server.sample("hvd_http_requests_total", method="GET", route="/ws", status="101") == 60
        assert server.samples("hvd_websocket_disconnections_total").total() == 60, "each has ended once"
    assert not server.alarms


def descriptors_at_rest(server: Server) -> dict[int, int]:
    """Open files by pid of worker and aggregator; none while any of them has a client's connection."""
    processes = [psutil.Process(pid) for pid in (*server.pids("worker"), *server.pids("aggregator"))]
    if any(one.status != "LISTEN" for process in processes for one in process.net_connections("tcp")):
        return {}
    return {process.pid: process.num_fds() for process in processes}


def is_within(now: dict[int, int], before: dict[int, int]) -> bool:
    return now.keys() == before.keys() and all(now[pid] <= before[pid] for pid in now)


def one_round(server: Server, number: int) -> None:
    """Connect, get a message, and leave in one of four ways; beside it a handshake that is refused."""
    with RawWebSocket(server.address) as client:
        client.message()
        if number % 4 == 0:
            client.send(CLOSE, struct.pack(">H", 1001))
            assert close_code(client) == 1001
        elif number % 4 == 1:
            client.sock.sendall(b"garbage")
            assert close_code(client) == 1002
        elif number % 4 == 2:
            client.abandon()
    assert handshake(server, Sec_WebSocket_Key=None).status == 400


class Crowd:
    """Thousands of clients on one thread: each reads, and counts the text frames that it got."""

    def __init__(self, address: Address, count: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._data: dict[socket.socket, bytes] = {}
        self.messages: dict[socket.socket, int] = {}
        self.failures: list[str] = []
        try:
            for _ in range(count):
                self._connect(address)
        except BaseException:
            self.__exit__()
            raise

    def _connect(self, address: Address) -> None:
        sock = connect(address)
        self._data[sock], self.messages[sock] = b"", -1  # -1: no answer yet
        request = "GET /ws HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in PROPER.items())
        sock.sendall(request.encode() + b"\r\n")
        sock.setblocking(False)
        self._selector.register(sock, selectors.EVENT_READ)

    def read(self, seconds: float) -> None:
        """Take what comes within this time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                assert isinstance(key.fileobj, socket.socket)
                self._take(key.fileobj)

    def _take(self, sock: socket.socket) -> None:
        try:
            received = sock.recv(65536)
        except OSError as error:
            received, self.failures = b"", [*self.failures, repr(error)]
        if not received:
            self.failures.append("ended")
            self._selector.unregister(sock)
        data = self._data[sock] + received
        if self.messages[sock] < 0:
            head, found, rest = data.partition(b"\r\n\r\n")
            if found and head.startswith(b"HTTP/1.1 101 "):
                data, self.messages[sock] = rest, 0
            elif found:
                self.failures.append(head[:40].decode("latin-1"))
        while self.messages[sock] >= 0 and data[:1] == b"\x81" and len(data) >= 4:
            size = 2 + data[1] if data[1] < 126 else 4 + int.from_bytes(data[2:4], "big")
            if len(data) < size:
                break
            data, self.messages[sock] = data[size:], self.messages[sock] + 1
        self._data[sock] = data

    def has_each(self, least: int) -> bool:
        """True if every one has got so many messages; reads a while."""
        self.read(0.2)
        return min(self.messages.values()) >= least or bool(self.failures)

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *exc: object) -> None:
        self._selector.close()
        for sock in self.messages:
            sock.close()


def test_two_thousand_clients_cost_no_worker_thread(tmp_path: Path) -> None:
    """They come in a burst: all get messages, the others wait for nothing, and the count ends at 0."""
    with (
        Server(tmp_path, workers=2, threads=2, interval=1, ping_interval=60) as server,
        Witness(server.address) as witness,
    ):
        with Crowd(server.address, 2000) as crowd:
            until(lambda: crowd.has_each(1), "each client has a message", 20)
            assert not crowd.failures
            until(lambda: clients(server) == 2001, "all are counted")
            seen = max(crowd.messages.values())
            until(lambda: crowd.has_each(seen + 2), "each client gets two more", 10)
            assert not crowd.failures
            server.wait_idle()
            assert_threads_are_free(server, 2, tmp_path / "gate")
            crowd.read(0.1)
            assert not crowd.failures
        until(lambda: clients(server) == 1, "only the witness is left")
        assert witness.worst_gap < 1 + 1 * PATIENCE
        assert server.counted()["/ws", 101] == 2001
    assert not server.alarms


def assert_threads_are_free(server: Server, threads: int, gate: Path) -> None:
    """Each worker serves so many requests at a time, which last until all do; those of one while the others stand."""
    workers = server.pids("worker")
    request = b"GET /gate?file=%s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n" % bytes(gate)
    with ExitStack() as stack:
        stack.callback(gate.touch)
        for number, pid in enumerate(workers, 1):
            with ExitStack() as standing:
                for other in workers:
                    if other != pid:
                        standing.enter_context(stopped(other))
                for _ in range(threads):
                    stack.enter_context(connect(server.address)).sendall(request)
                until(
                    lambda number=number: server.in_progress() == ["/gate"] * threads * number,  # type: ignore[misc]
                    f"{threads} threads of {pid} are free",
                )
