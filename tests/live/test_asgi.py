"""ASGI apps under gunicorn's `asgi` worker and uvicorn's: what clients counted is what hvd says."""

import os
import random
import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hvd.read.frames import describe
from tests.support.asgi import SHOP
from tests.support.guest import Guest
from tests.support.http import Asking, Connection, Load, Response, connect
from tests.support.proof import proving
from tests.support.server import upgradable
from tests.support.waiting import PATIENCE, until
from tests.support.ws import TEXT, RawWebSocket

CLASSES = ("asgi", "uvicorn_worker.UvicornWorker")
PATHS = [f"/status/{code}" for code in (200, 201, 204, 304, 404, 503)] + ["/stream/3", "/echo", "/nothing", "/silent"]
CLIENTS, REQUESTS = 16, 200  # of each client


class Client(threading.Thread):
    """Asks for this and that, and counts what it gets by method and status; now and then it leaves instead."""

    def __init__(self, guest: Guest, seed: int) -> None:
        super().__init__()
        self._guest, self._random = guest, random.Random(seed)
        self.received: Counter[tuple[str, str]] = Counter()
        self.left = self.broken = 0

    def run(self) -> None:
        with self._guest.connection() as connection:
            for _ in range(REQUESTS):
                self._ask(connection, self._random.random())

    def _ask(self, connection: Connection, chance: float) -> None:
        if chance < 0.02:
            self.left += 1
            leave(self._guest, f"/waits/{self.name}-{self.left}")
        elif chance < 0.04:
            self.broken += 1
            with suppress(OSError):
                connection.get("/breaks")
        elif chance < 0.06:
            self.received["(unparsed)", str(connection.exchange(b"GET\r\n\r\n").status)] += 1
            connection.close()
        else:
            method = self._random.choice(["GET", "GET", "HEAD", "POST", "BREW"])
            path = self._random.choice(PATHS)
            answer = connection.request(method, path, body=b"x" * 100 if method == "POST" else b"")
            self.received[method if method != "BREW" else "(other)", str(answer.status)] += 1


def leave(guest: Guest, path: str) -> None:
    """Ask, and leave before there is an answer."""
    with connect(guest.address) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        until(lambda: path in guest.in_progress(), "the app has it")


def by_status(guest: Guest) -> Counter[tuple[str, ...]]:
    return guest.samples("hvd_http_requests_total", "method", "status")


@pytest.fixture(params=CLASSES)
def guest(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Guest]:
    with Guest(tmp_path, files={"shop.py": SHOP}, arguments=("-k", request.param)) as guest:
        yield guest


def test_every_request_is_counted_as_its_client_saw_it(guest: Guest) -> None:
    """Statuses, streams, HEAD, 304, failures before and amidst, clients that leave, and what is no request."""
    clients = [Client(guest, seed) for seed in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    guest.wait_idle()
    expected = sum((client.received for client in clients), Counter[tuple[str, str]]())
    expected["GET", "200"] += sum(client.broken for client in clients)
    left = sum(client.left for client in clients)
    assert by_status(guest) == expected
    assert +guest.samples("hvd_http_requests_aborted_total", "cause") == {("client_left",): left}
    requests = guest.snapshot()["requests"]
    assert requests == {
        "started": CLIENTS * REQUESTS,
        "finished": expected.total(),
        "in_flight": 0,
        "aborted": left,
    }


def test_open_connections_are_no_requests_in_progress(guest: Guest) -> None:
    """WebSockets by their handshake's status, and events; of a worker that was killed none is open."""
    refused = {"/refused": 403, "/fails": 500, "/silent": 403 if "asgi" in guest.command else 500}
    for path, status in refused.items():
        socket = RawWebSocket(guest.address, path)
        assert socket.status == status
        socket.close()
    sockets = [RawWebSocket(guest.address) for _ in range(4)]
    assert {socket.status for socket in sockets} == {101}
    for number, socket in enumerate(sockets):
        socket.send(TEXT, b"%d" % number)
        assert socket.frame() == (TEXT, b"%d" % number)
    streams = [connect(guest.address) for _ in range(3)]
    for stream in streams:
        stream.sendall(b"GET /events HTTP/1.1\r\nHost: test\r\n\r\n")
        assert b" 200 " in stream.recv(65536)

    def open_now() -> dict[tuple[str, ...], int]:
        return dict(guest.samples("hvd_app_connections", "kind"))

    assert open_now() == {("websocket",): 4, ("sse",): 3}
    assert guest.snapshot()["requests"]["in_flight"] == 0
    sockets.pop().close()
    streams.pop().close()
    until(lambda: open_now() == {("websocket",): 3, ("sse",): 2}, "two are closed")
    assert guest.samples("hvd_app_connection_duration_seconds_count", "kind") == {("websocket",): 1, ("sse",): 1}
    counted = by_status(guest)
    assert counted["GET", "101"] == 4
    assert counted["GET", "200"] == 3
    assert counted["GET", "403"] + counted["GET", "500"] == 3
    for pid in guest.pids("worker"):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not sum(open_now().values()), "none is open")
    assert guest.samples("hvd_app_connection_duration_seconds_count", "kind") == {("websocket",): 1, ("sse",): 1}
    for one in (*sockets, *streams):
        one.close()
    until(lambda: guest.pids("worker") and guest.is_healthy(), "others serve")


def test_a_loop_that_stands_still_is_seen_meanwhile(guest: Guest) -> None:
    """By its worker's last turn: on /metrics, in the snapshot, and as what is wrong; and no more once it turns."""

    def lag() -> float:
        return float(guest.snapshot()["event_loop_lag_seconds"])

    until(lambda: lag() < 0.5, "the loops turn")
    asking = Asking(guest.address, f"/block?s={4 * PATIENCE:g}")
    until(lambda: lag() > 2, "it stands still")
    health = guest.hvd_get("/health").json()
    assert health["status"] == "degraded"
    (reason,) = health["reasons"]
    assert "event loop" in reason
    assert guest.sample("hvd_event_loop_lag_seconds") >= 2
    assert isinstance(asking.wait(), Response)
    until(lambda: lag() < 0.5, "it turns again")
    assert guest.is_healthy()


def line_of(text: str) -> int:
    """The shop's line that has this."""
    return SHOP[: SHOP.index(text)].count("\n") + 1


WAITS, BLOCKS = (f"shop.py:{line_of(text)} http" for text in ("asyncio.sleep(", "time.sleep("))


def places(guest: Guest) -> list[str]:
    """Where the requests in progress stand."""
    (process,) = guest.admin_get("/api/v1/stacks").json()["processes"]
    stacks = [thread["frames"] for thread in process["threads"] if thread["request"]]
    return [describe(frames).partition(",")[0].rpartition("/")[2] for frames in stacks]


@pytest.mark.parametrize("kind", CLASSES)
def test_all_requests_of_a_worker_that_is_killed_are_named(tmp_path: Path, kind: str) -> None:
    """64 at once in one loop: their paths in the post-mortem, aborted, and nothing else. Before that each is told where
    it waits, though another one holds the loop up.
    """
    settings: dict[str, Any] = {"admin_bind": "127.0.0.1:0", "watch_slow_request_seconds": 0.5}
    with Guest(tmp_path, files={"shop.py": SHOP}, arguments=("-k", kind), workers=1, **settings) as guest:
        with proving(guest):
            paths = sorted(f"/slow/{number}" for number in range(64))
            asking = [Asking(guest.address, f"{path}?s=90") for path in paths]
            until(lambda: sorted(guest.in_progress()) == paths, "all are in progress")
            (pid,) = guest.pids("worker")
            assert guest.snapshot()["requests"]["in_flight"] == 64
            until(lambda: set(places(guest)) == {WAITS}, "each is told where it waits")
            asking.append(Asking(guest.address, "/block?s=90"))
            until(lambda: "/block" in guest.in_progress(), "one holds the loop up")
            until(lambda: Counter(places(guest)) == {WAITS: 64, BLOCKS: 1}, "it is told, and changes no other")
            told = rf"saturated: the event loop of worker {pid} has stood still for \d+\.\d s, at {BLOCKS}"
            until(lambda: any(re.fullmatch(told, text) for text in guest.hvd_get("/health").json()["reasons"]), "why")
            os.kill(pid, signal.SIGKILL)
            assert all(isinstance(one.wait(), OSError) for one in asking)
            (entry,) = until(lambda: guest.snapshot()["post_mortems"], "a post-mortem")
        assert (entry["pid"], entry["cause"], entry["aborted"]) == (pid, "SIGKILL", 65)
        assert sorted(request["path"] for request in entry["requests"]) == ["/block", *paths]
        assert f"; its event loop stood at {tmp_path}/{BLOCKS}" in guest.log
        until(lambda: guest.pids("worker") and guest.is_healthy(), "another worker serves")
        assert guest.get("/status/200").status == 200
        guest.wait_idle()
        assert +guest.samples("hvd_http_requests_aborted_total", "cause") == {("SIGKILL",): 65}
        assert guest.snapshot()["requests"] == {"started": 66, "finished": 1, "in_flight": 0, "aborted": 65}


def kill_one(guest: Guest) -> None:
    """A worker, which is replaced."""
    pid, *others = guest.pids("worker")
    os.kill(pid, signal.SIGKILL)
    until(lambda: pid not in (now := guest.pids("worker")) and len(now) > len(others), "it is replaced")


@pytest.mark.parametrize("kind", CLASSES)
def test_totals_survive_what_happens_to_workers(tmp_path: Path, kind: str) -> None:
    """Killed, reloaded, more of them, recycled, and all of them another master's: under load all the time."""
    arguments = ("-k", kind, "--max-requests", "400", "--max-requests-jitter", "100", "--graceful-timeout", "20")
    guest = upgradable(Guest(tmp_path, files={"shop.py": SHOP}, arguments=arguments, workers=3))
    with guest:
        with proving(guest), Load(guest.address, ["/status/200", "/status/404", "/stream/3", "/fails"], 8) as load:
            for _ in range(3):
                kill_one(guest)
            guest.reload()
            guest.signal(signal.SIGTTIN)
            until(lambda: len(guest.pids("worker")) == 4, "one more")
            until(
                lambda: guest.log.count("Autorestarting") + guest.log.count("Maximum request") >= 2, "two are recycled"
            )
            guest.signal(signal.SIGUSR2)
            with guest.opened() as block:
                until(lambda: len(block.masters()) == 2, "two masters", 30)
                until(lambda: len(guest.pids("worker")) == 7, "both serve", 30)
                guest.signal(signal.SIGTERM)
                assert guest.wait(60) == 0
                until(lambda: len(block.masters()) == 1 and len(guest.pids("worker")) == 3, "the new one alone", 30)
        guest.wait_idle()
        counted, tally = guest.samples("hvd_http_requests_total", "status"), load.tally
        received = Counter[tuple[str, ...]]()
        for (_, status), number in tally.received.items():
            received[str(status),] += number
        missed = counted - received
        assert not received - counted
        assert missed.total() <= tally.failed.total()
        with guest.view() as view:
            heads = view.totals().heads
        assert heads.started == heads.finished + heads.aborted <= tally.sent.total()
        assert tally.responses > 2000
        assert guest.samples("hvd_process_exits_total", "kind", "cause")["worker", "SIGKILL"] == 3
        guest.stop_successor()


@pytest.mark.parametrize("kind", CLASSES)
def test_workers_end_soon_where_they_have_to(tmp_path: Path, kind: str) -> None:
    """Orphans, and at a quick stop: though a WebSocket is open, and a request takes longer."""
    for signum in (signal.SIGKILL, signal.SIGQUIT):
        folder = tmp_path / signum.name
        folder.mkdir()
        with Guest(folder, files={"shop.py": SHOP}, arguments=("-k", kind, "--graceful-timeout", "90")) as guest:
            socket, asking = RawWebSocket(guest.address), Asking(guest.address, "/slow?s=90")
            until(lambda: guest.in_progress() == ["/slow"], "it is in progress")
            guest.signal(signum)
            assert guest.wait(20) == (0 if signum == signal.SIGQUIT else -signal.SIGKILL)
            until(lambda: not guest.processes(), "its workers have ended", 8)
            assert isinstance(asking.wait(), OSError)
            socket.close()
