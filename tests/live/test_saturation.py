"""The service drowns: the block tells it to another process, which needs no worker for that."""

import os
import re
import signal
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from hvd.core import layout
from hvd.metrics.companion_pages import AggregatorPage
from hvd.metrics.events import Event, read_events
from hvd.read.reading import BlockReader
from hvd.read.saturation import SATURATED
from hvd.read.snapshot import build_raw
from tests.support.http import Asking, Connection, Load, Response, connect
from tests.support.server import Server, stopped, upgradable
from tests.support.waiting import until
from tests.support.ws import RawWebSocket


def last_page(view: BlockReader) -> AggregatorPage:
    """What the aggregator published last."""
    page = view.companions().last_page
    assert page
    return page


def occupy(server: Server, view: BlockReader, path: str, threads: int) -> list[Asking]:
    """Clients of this path, until so many threads are busy: a worker may take a connection though it has none free."""
    clients: list[Asking] = []

    def are_busy() -> bool:
        if view.service().busy < threads:
            clients.append(Asking(server.address, path))
        return view.service().busy == threads

    until(are_busy, f"{threads} threads are busy", pause=0.2)
    return clients


def test_the_oldest_requests_say_where_in_the_code_they_are(tmp_path: Path) -> None:
    """Once their stacks were taken, as the master does with requests that take long; to whoever asks or listens."""
    gate = tmp_path / "gate"
    with Server(tmp_path, workers=1, threads=2, interval=0.5, watch_slow_request_seconds=1) as server:
        stuck = Asking(server.address, f"/gate?file={gate}")

        def functions(answer: dict[str, Any]) -> list[str]:
            requests = (request for request in answer["longest_requests"] if request["path"] == "/gate")
            return [frame["function"] for request in requests for frame in request["stack"]]

        for ask in (lambda: health_of(server), server.snapshot):
            until(lambda ask=ask: "Gate.on_get" in functions(ask()), "its stack is there")  # type: ignore[misc]
        (request,) = health_of(server)["longest_requests"]
        assert 0 <= request["stack_age_seconds"] < request["age_seconds"]
        with RawWebSocket(server.address) as client:
            raw = (message["data"]["raw"] for message in iter(client.message, None) if message["type"] == "metrics")
            until(lambda: "Gate.on_get" in functions(next(raw)), "it is in a message, the first of which may be older")
        gate.touch()
        stuck.wait()


def health_of(server: Server) -> dict[str, Any]:
    """What the admin server says."""
    answer: dict[str, Any] = server.admin_get("/health").json()
    return answer


def alerts(server: Server) -> list[Event]:
    """What was told of the health."""
    with server.opened() as block:
        return [event for event in read_events(block) if event["kind"] in ("alert", "alert_over")]


def test_all_threads_busy_is_told_with_what_they_do(tmp_path: Path) -> None:
    """Within two seconds of it, by whoever reads the block; and that it is over. Stuck requests count beside p99."""
    gate = tmp_path / "gate"
    with Server(tmp_path, workers=2, threads=2, interval=0.5) as server, server.view() as view:
        assert view.vitals().health.status == "healthy"
        stuck = occupy(server, view, f"/gate?file={gate}", 4)
        health = until(
            lambda: (state := view.vitals().health).status == "degraded" and state, "it is degraded", SATURATED + 2
        )
        (reason,) = health.reasons
        assert reason.startswith("saturated: all 4 threads busy for ")
        assert "; the oldest request GET /gate for " in reason
        until(lambda: last_page(view)["with_open"]["p99_with_open"] > 2000, "stuck requests count beside p99")
        raw = build_raw(view.read())
        assert (raw["health"], raw["system_health"], raw["reasons"][0][:9]) == ("degraded", "degraded", "saturated")
        assert (raw["workers_alive"], raw["worker_threads"], raw["worker_threads_busy"]) == (2, 4, 4)
        assert (raw["busy_ratio"], raw["saturated_seconds"] >= SATURATED) == (1.0, True)
        assert {request["path"] for request in raw["longest_requests"]} == {"/gate"}
        assert {request["pid"] for request in raw["longest_requests"]} == set(server.pids("worker"))
        assert raw["p99"] < 1000 < raw["p99_with_open"]
        before = last_page(view)["with_open"]["p99_with_open"]
        until(lambda: last_page(view)["with_open"]["p99_with_open"] > before, "it grows while they are stuck")
        until(lambda: alerts(server), "an alert is told")
        gate.touch()
        for one in stuck:
            one.wait()
        until(lambda: view.vitals().health.status == "healthy", "it is over")
        until(lambda: view.service().busy == 0 and not view.service().longest_requests(), "nothing is in progress")
        until(lambda: last_page(view)["busy_ratio"] == 0.0, "the next interval is idle")
        assert server.metrics()["hvd_worker_threads_busy", frozenset()] == 1, "the one that answers"
        alert, over = until(lambda: alerts(server)[1:] and alerts(server), "the alert is over")
        assert (alert["kind"], alert["state"], over["kind"]) == ("alert", "degraded", "alert_over")
        assert alert["text"].startswith("degraded: saturated: all 4 threads busy for ")
        assert over["text"].startswith("healthy again, after ")
        assert over["seconds"] == pytest.approx(over["time"] - alert["time"], abs=0.01)


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "unix"])
def test_connections_that_nobody_accepts_are_counted(tmp_path: Path, bind: str) -> None:
    """While the workers stand still, at each kind of socket."""
    bind = f"unix:{tmp_path}/socket" if bind == "unix" else bind
    with (
        Server(tmp_path, workers=2, threads=2, bind=bind, arguments=("--backlog", "50")) as server,
        server.view() as view,
    ):
        backlog = view.read().backlog
        assert backlog
        assert (backlog.waiting, backlog.limit) == (0, 50)
        with ExitStack() as stack:
            for pid in server.pids("worker"):
                stack.enter_context(stopped(pid))
            for _ in range(7):
                stack.enter_context(connect(server.address))
            raw = build_raw(view.read())
            assert (raw["accept_backlog"], raw["accept_backlog_limit"]) == (7, 50)
            assert raw["worker_threads_busy"] == 0
            health = until(
                lambda: (it := health_of(server))["reasons"][0].startswith("saturated") and it, "it is saturated"
            )
            assert health["reasons"][0].startswith("saturated: 7 connections wait to be accepted, and not fewer for ")
            stack.enter_context(connect(server.address))
            until(
                lambda: "8 connections wait to be accepted, and more each second" in health_of(server)["reasons"][0],
                "it grows",
            )
        until(lambda: (now := view.read().backlog) and now.waiting == 0, "they are accepted")
        until(lambda: health_of(server)["status"] == "healthy", "nothing waits")


def test_short_requests_that_come_faster_than_they_are_served_saturate_it(tmp_path: Path) -> None:
    """Though a thread is free at many a look: what waits for one does not become less."""
    with Server(tmp_path, workers=2, threads=2) as server:
        with Load(server.address, ["/slow?s=0.005"], clients=16, pause=0):
            health = until(lambda: (it := health_of(server))["status"] == "degraded" and it, "it is saturated", 30)
            waits = r"saturated: (\d+ requests wait for a thread, and |all 4 threads busy for .* others wait)"
            assert re.match(waits, health["reasons"][-1]), "either is right, and may be first"
            assert server.admin_get("/api/v1/snapshot").json()["queued_requests"] > 0
        until(lambda: health_of(server)["status"] == "healthy", "it is over")
        with Load(server.address, ["/slow?s=0.05"], clients=2, pause=0):
            time.sleep(3)  # all threads busy for 2 would be told
            assert health_of(server)["status"] == "healthy", "half of the threads are free"


def test_a_worker_that_keeps_requests_waiting_is_told_though_the_other_is_idle(tmp_path: Path) -> None:
    """What it has accepted waits for its threads, all of them stuck; no other worker can take it."""
    gate = tmp_path / "gate"
    with Server(tmp_path, workers=2, threads=2, keepalive=60) as server, ExitStack() as stack:
        by_worker = defaultdict[int, list[Connection]](list)

        def connect_once() -> list[Connection] | None:
            connection = stack.enter_context(Connection(server.address))
            several = by_worker[connection.get("/hello").json()["pid"]]
            several.append(connection)
            return several if len(several) == 4 else None

        connections = until(connect_once, "one worker has four connections")
        pid = next(pid for pid, several in by_worker.items() if several is connections)
        with ThreadPoolExecutor(len(connections)) as clients:
            stack.callback(gate.touch)
            answers = [clients.submit(one.get, f"/gate?file={gate}") for one in connections]
            reason = until(
                lambda: next((reason for reason in health_of(server)["reasons"] if reason.startswith("stuck")), ""),
                "the worker is told of",
            )
            told = rf"stuck: worker {pid} has begun no request for [\d.]+ s, and 2 requests wait for its threads; "
            assert re.match(told + r"the oldest request GET /gate for [\d.]+ s$", reason)
            state = server.admin_get("/api/v1/snapshot").json()
            assert (state["health"], state["worker_threads_busy"], state["worker_threads"]) == ("degraded", 2, 4)
            assert state["saturated_seconds"] >= SATURATED
            gate.touch()
            assert {answer.result().json()["pid"] for answer in answers} == {pid}
        until(lambda: health_of(server)["status"] == "healthy", "it is over")


def test_a_worker_that_a_signal_has_stopped_is_told(tmp_path: Path) -> None:
    """Its connections wait; where all are stopped, nobody serves."""
    with Server(tmp_path, workers=2, timeout=3600) as server, ExitStack() as stack:
        first, second = server.pids("worker")
        stack.enter_context(stopped(first))
        health = health_of(server)
        assert health["status"] == "degraded"
        assert health["reasons"] == [
            f"worker {first} is stopped by a signal, with 0 requests: clients wait; kill -CONT {first}"
        ]
        stack.enter_context(stopped(second))
        answer = server.admin_get("/health")
        assert (answer.status, answer.json()["status"]) == (503, "unhealthy")
        stack.close()
        until(lambda: health_of(server)["status"] == "healthy", "they go on")


@pytest.mark.long(60)
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/status-of/500", r"failing: \d+ % of the last minute's responses are 5xx \([\d,]+ of [\d,]+\)"),
        ("/die/kill", "dying: .*"),
    ],
)
def test_a_service_that_answers_nothing_well_is_not_healthy(tmp_path: Path, path: str, reason: str) -> None:
    """Though all of its processes run: each answer is an error, or each request ends its worker."""
    with Server(tmp_path, workers=2, threads=2, interval=0.5) as server:

        def is_told() -> bool:
            with suppress(OSError):
                server.get(path)
            health = health_of(server)  # "starting" for moments, where each worker dies
            return health["status"] == "degraded" and any(re.fullmatch(reason, each) for each in health["reasons"])

        until(is_told, "it is told", 40)
        until(lambda: server.get("/hello").status == 200 and server.is_healthy(), "it is over", 40)


def test_without_a_worker_it_is_unhealthy(tmp_path: Path) -> None:
    """Once the daemon has had time to start; and healthy again with the next worker."""
    with Server(tmp_path, workers=2) as server, server.opened() as block:
        view = BlockReader(block)
        with stopped(server.pid):  # it would start others
            for pid in server.pids("worker"):
                os.kill(pid, signal.SIGKILL)
            until(lambda: not view.service().workers, "no worker lives")
            assert view.vitals().health.status == "starting"
            block.cells[layout.H_STARTED_MONO] -= 60 * 10**9
            until(lambda: view.vitals().health.status == "unhealthy", "none is about to be replaced")
            health = view.vitals().health
            answer = server.admin_get("/health")
            assert (answer.status, answer.json()["status"]) == (503, "unhealthy")
            assert health.reasons[0] == "no worker lives: requests wait; the log says why they end"
            assert build_raw(view.read())["system_health"] == "unhealthy"
        until(lambda: view.vitals().health.status == "healthy", "workers are there again")


def test_a_master_that_stands_still_is_told(tmp_path: Path) -> None:
    """It would replace nothing that ends, and end no worker for its silence; workers and admin server go on."""
    with Server(tmp_path, workers=1) as server:
        with stopped(server.pid):
            for health in (server.get("/health").json(), server.admin_get("/health").json()):
                assert health["status"] == "degraded"
                (reason,) = health["reasons"]
                stands = rf"master \(pid {server.pid}\) is stopped for \d+ s: nothing that ends is replaced"
                assert re.fullmatch(rf"{stands}; kill -CONT {server.pid}", reason)
        assert server.admin_get("/health").json()["status"] == "healthy"


def test_a_reload_s_old_workers_do_not_hide_that_the_new_ones_are_saturated(tmp_path: Path) -> None:
    """They take nothing new: their idle threads are no capacity."""
    gate = f"/gate?file={tmp_path / 'gate'}"
    with Server(tmp_path, workers=1, threads=2, interval=0.5) as server, server.view() as view:
        old = occupy(server, view, gate, 1)
        server.signal(signal.SIGHUP)
        until(lambda: len(view.service().workers) == 2 and view.service().threads == 3, "one of the old threads counts")
        new = occupy(server, view, gate, 3)
        until(lambda: view.vitals().health.status == "degraded", "it is saturated", SATURATED + 3)
        (tmp_path / "gate").touch()
        assert all(isinstance(client.wait(), Response) for client in (*old, *new))


def test_workers_of_both_masters_count_during_an_upgrade(tmp_path: Path) -> None:
    """Capacity, what they do, and the backlog of the sockets that both have."""
    with upgradable(Server(tmp_path, workers=1, threads=2)) as server, server.view() as view:
        gate = tmp_path / "gate"
        stuck = Asking(server.address, f"/gate?file={gate}")
        until(lambda: view.service().busy == 1, "it is served")
        server.signal(signal.SIGUSR2)
        until(lambda: len(view.service().workers) == 2, f"both serve; log:\n{server.log}", 30)
        assert (view.service().threads, view.service().busy) == (4, 1)
        assert view.backlog() == (0, 2048)
        gate.touch()
        assert isinstance(stuck.wait(), Response)
        server.signal(signal.SIGTERM)
        assert server.wait(30) == 0
        assert (len(view.service().workers), view.backlog()) == (1, (0, 2048))
        server.wait_ready()
        server.stop_successor()


def test_a_sync_worker_that_waits_for_a_request_is_busy(tmp_path: Path) -> None:
    """It serves nobody else meanwhile; what it waits for is told, and that it is over."""
    with Server(tmp_path, workers=1, worker_class="sync") as server, server.view() as view:
        assert (view.service().threads, view.service().busy) == (1, 0)
        with connect(server.address) as client:
            client.sendall(b"GET /slow?s=1 HTTP/1.1\r\nHo")
            until(lambda: view.service().busy == 1, "it is busy")
            assert view.service().waiting_clients["half_head"] == 1
            assert view.service().requests == []
            client.sendall(b"st: test\r\n\r\n")
            until(lambda: view.service().requests, "the request is served")
            assert (view.service().busy, view.service().waiting_clients["half_head"]) == (1, 0)
        until(lambda: view.service().busy == 0, "it is free again")
