"""gevent's workers, of a guest: a thread serves many requests at once, each in a greenlet."""

import os
import random
import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hvd.core.totals import Reader
from tests.support.guest import Guest
from tests.support.http import Asking, Load, Response, connect, load
from tests.support.repeating import repeatedly
from tests.support.waiting import until

SHOP = """\
import time


def app(environ, start_response):
    first, _, rest = environ["PATH_INFO"][1:].partition("/")
    if first in ("slow", "left", "wait"):
        time.sleep(1.5 if first == "wait" else 30 if rest else 0.02)
    until = time.monotonic() + 6
    while first == "spin" and time.monotonic() < until:
        pass
    if first == "broken":
        raise ConnectionRefusedError("of a database")
    if first == "boom":
        raise ValueError("boom")
    status = {"missing": "404 Not Found", "left": "202 Accepted"}.get(first, "200 OK")
    if first == "stream":
        start_response(status, [])
        return stream()
    start_response(status, [("Content-Length", "2")])
    return [b"ok"]


def stream():
    for _ in range(3):
        time.sleep(0.001)
        yield b"x" * 1000
"""

SLEEP = '        time.sleep(1.5 if first == "wait" else 30 if rest else 0.02)'
STATUSES = {"/": 200, "/stream": 200, "/slow": 200, "/missing": 404, "/boom": 500}
KINDS = ("gevent", "gevent_pywsgi")


def guest(folder: Path, kind: str, **settings: Any) -> Guest:
    return Guest(folder, files={"shop.py": SHOP}, arguments=("-k", kind), **settings)


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_worker_is_known_by_all_that_it_served(tmp_path: Path, kind: str) -> None:
    """64 requests at once in one worker: each with its path, its age and the log has where one stands."""
    paths = {f"/slow/{number}" for number in range(64)}
    with guest(tmp_path, kind, workers=1, watch_slow_request_seconds=0.5) as server:
        asking = [Asking(server.address, path) for path in paths]
        until(lambda: set(server.in_progress()) == paths, "all are in progress")
        snapshot = server.snapshot()
        assert (snapshot["worker_threads"], snapshot["worker_threads_busy"]) == (1000, 64)
        assert {request["path"] for request in snapshot["longest_requests"]} <= paths
        line = SHOP.splitlines().index(SLEEP) + 1
        until(lambda: f"shop.py:{line} app" in server.log, "it is told where one of them stands")
        (pid,) = server.pids("worker")
        os.kill(pid, signal.SIGKILL)
        assert all(isinstance(one.wait(), OSError) for one in asking)
        died = until(lambda: server.snapshot()["post_mortems"], "there is a post-mortem")[0]
        assert (died["aborted"], died["signal"]) == (64, "SIGKILL")
        assert {request["path"] for request in died["requests"]} == paths
        requests = server.snapshot()["requests"]
        assert (requests["started"], requests["finished"], requests["aborted"], requests["in_flight"]) == (64, 0, 64, 0)
        assert server.sample("hvd_http_requests_aborted_total", cause="SIGKILL") == 64


@pytest.mark.parametrize("kind", KINDS)
def test_a_greenlet_that_gives_way_to_nobody_is_seen(tmp_path: Path, kind: str) -> None:
    """Its worker answers nobody meanwhile, though nearly all of its capacity is free."""
    with guest(tmp_path, kind, workers=1) as server:
        assert server.snapshot()["event_loop_lag_seconds"] is not None
        if kind == "gevent_pywsgi":  # the other, gunicorn's, answers nothing
            assert server.get("/broken").status == 500
            assert server.counted() == {("(other)", 500): 1}
        asking = Asking(server.address, "/spin")
        told = re.compile(r"saturated: the event loop of worker \d+ has stood still for \S+ s, at \S*shop.py:\d+ app")
        until(
            lambda: any(map(told.fullmatch, server.hvd_get("/health").json()["reasons"])),
            "/health says where it stands",
        )
        assert isinstance(asking.wait(), Response)
        until(server.is_healthy, "it turns again")


def test_what_there_is_no_entry_for_is_counted_all_the_same(tmp_path: Path) -> None:
    """`entries` bounds what can be named; here in a service whose master has been patched, too, as many are."""
    conf = "from gevent import monkey\nmonkey.patch_all()\npreload_app = True\n"
    with guest(tmp_path, "gevent", workers=1, entries=16, conf=conf) as server:
        asking = [Asking(server.address, f"/slow/{number}") for number in range(40)]
        until(lambda: server.snapshot()["requests"]["in_flight"] == 40, "all are in progress")
        assert len(server.in_progress()) == 16
        os.kill(server.pids("worker")[0], signal.SIGKILL)
        assert all(isinstance(one.wait(), OSError) for one in asking)
        died = until(lambda: server.snapshot()["post_mortems"], "there is a post-mortem")[0]
        assert (died["aborted"], len(died["requests"])) == (40, 16)
        assert server.get("/").body == b"ok"
        until(lambda: server.snapshot()["requests"]["in_flight"] == 0, "nothing is in progress")
        requests = server.snapshot()["requests"]
        assert (requests["started"], requests["finished"], requests["aborted"]) == (41, 1, 40)


def test_every_request_is_counted_through_reloads_and_deaths(tmp_path: Path) -> None:
    """Of 4 workers: exactly, while none dies; and then never less than clients saw, nor more than they asked for."""
    conf = "max_requests = 1500\nmax_requests_jitter = 500\n"
    with guest(tmp_path, "gevent", workers=4, conf=conf) as server:
        tally = load(server.address, [*STATUSES], clients=16, requests=4000)
        assert not tally.failed
        heads = Counter(ask(server, "HEAD") for _ in range(20))
        for _ in range(15):
            leave(server, "/left")
        until(lambda: server.snapshot()["requests"]["finished"] == 4035, "all are finished")
        counted = by_status(server)
        assert counted.pop("202") == 15
        assert counted == received(tally) + Counter(heads)
        assert server.samples("hvd_http_requests_total", "method")["HEAD",] == 20

        faults: list[Any] = []
        with Load(server.address, [*STATUSES], 16) as clients, repeatedly(lambda: faults.extend(proof(server)), 0.05):
            server.reload()
            server.signal(signal.SIGTTIN)
            until(lambda: len(server.pids("worker")) == 5, "there is one more")
            for _ in range(3):
                pid = random.choice(server.pids("worker"))
                os.kill(pid, signal.SIGKILL)
                until(lambda pid=pid: pid not in server.pids("worker"), "it is settled")
            until(lambda: (by_status(server) - counted).total() > 300, "there were requests enough", 60)
        assert not faults
        until(lambda: server.snapshot()["requests"]["in_flight"] == 0, "nothing is in progress", 60)
        more = by_status(server)
        more.subtract(counted)
        sent = Counter(str(STATUSES[path]) for path in clients.tally.sent.elements())
        for status, number in received(clients.tally).items():
            assert number <= more[status] <= sent[status], status
        requests = server.snapshot()["requests"]
        assert requests["started"] == requests["finished"] + requests["aborted"]
        assert clients.tally.responses > 200


def test_an_orphan_has_time_for_its_requests(tmp_path: Path) -> None:
    """gunicorn's own would end at once; and no longer than that, whatever it serves."""
    with guest(tmp_path, "gevent", workers=1) as server, server.opened() as block:
        short, long = Asking(server.address, "/wait"), Asking(server.address, "/slow/1")
        until(lambda: len(server.in_progress()) == 2, "both are in progress")
        server.kill_master()
        outcome = short.wait()
        assert isinstance(outcome, Response)
        assert outcome.status == 200
        assert isinstance(long.wait(), OSError)
        until(lambda: not server.processes(), "all have ended")
        heads = Reader(block).read().heads
        assert (heads.started, heads.finished) == (2, 1)


def ask(server: Guest, method: str) -> str:
    with server.connection() as connection:
        return str(connection.request(method, "/").status)


def leave(server: Guest, path: str) -> None:
    """Ask, and go away without reading."""
    with connect(server.address) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())


def received(tally: Any) -> Counter[str]:
    """Responses by status; each was the one that belongs to its path."""
    assert all(STATUSES[path] == status for path, status in tally.received), tally.received
    return Counter(str(status) for _, status in tally.received.elements())


def by_status(server: Guest) -> Counter[str]:
    return Counter(
        {status: number for (status,), number in server.samples("hvd_http_requests_total", "status").items()}
    )


def proof(server: Guest) -> list[dict[str, int]]:
    """A read at which it does not hold."""
    requests = server.snapshot()["requests"]
    whole = requests["finished"] + requests["in_flight"] + requests["aborted"]
    return [] if requests["started"] == whole and requests["in_flight"] >= 0 else [requests]
