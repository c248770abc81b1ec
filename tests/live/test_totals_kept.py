"""Totals and history go on from one life of a daemon to the next, whatever ends it, and each count once."""

import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.guest import Guest, Run
from tests.support.http import load
from tests.support.joined import Joined
from tests.support.proof import proving
from tests.support.server import ROOT, SHM, Server, upgradable
from tests.support.waiting import until

PATHS = [f"/{number}" for number in range(20)]

APP = """\
def app(environ, start_response):
    code = "404 Not Found" if environ["PATH_INFO"] == "/0" else "200 OK"
    start_response(code, [("Content-Length", "2")])
    return [b"ok"]
"""


def state_of(folder: Path) -> dict[str, str]:
    """As systemd gives a service its StateDirectory."""
    return {"STATE_DIRECTORY": str(folder / "state")}


def another_life(server: Server, **settings: object) -> Server:
    """The same daemon, started once more, with other settings; its log begins anew."""
    server._environ |= {f"HVD_{name.upper()}": str(value) for name, value in settings.items()}
    server.log_path.unlink()
    return server.start()


def requests(server: Server) -> Counter[str]:
    """Responses by status that the service has sent."""
    return Counter({status: n for (status,), n in server.samples("hvd_http_requests_total", "status").items()})


def history(server: Server) -> list[list[float]]:
    points: list[list[float]] = server.hvd_get("/api/v1/history").json()["points"]
    return points


def end_for_good(server: Server) -> None:
    """As a loss of power: nothing in memory is left."""
    server.signal(signal.SIGKILL)
    server.destroy()


def test_totals_go_on_through_stops_kills_and_a_loss_of_memory(tmp_path: Path) -> None:
    """Of anybody's app by `hvd run`, where systemd gives it a folder; a file that is damaged is set aside."""
    server = Run(tmp_path, files={"shop.py": APP}, interval=0.2, environ=state_of(tmp_path))
    file = tmp_path / "state" / f"totals-{server.instance}"
    with server:
        assert load(server.address, PATHS, clients=4, requests=200).responses == 200
        until(lambda: history(server), "a point of the history")
        points, first = history(server), requests(server)
        assert first.total() == 200
        assert server.stop() == 0
        assert f"totals are kept in {file}" in server.log

        another_life(server, slots=30, max_series=16, entries=16)
        assert f"totals go on from {file} of 20" in server.log
        assert f": 200 requests finished, {first['404']} of them errors, 0 aborted, since 20" in server.log
        with proving(server):
            assert requests(server) == first
            assert load(server.address, PATHS, clients=4, requests=100).responses == 100
        assert history(server)[: len(points)] == points
        snapshot, second = server.snapshot(), requests(server)
        assert snapshot["requests"]["started"] == second.total() == 300
        assert snapshot["uptime_seconds"] < time.time() - points[-1][0]
        assert snapshot["totals_since"] == server.log.partition("aborted, since ")[2][:20]

        server.kill_master()
        another_life(server)
        assert "Taking over" in server.log
        assert "totals go on from" not in server.log
        assert requests(server) == second

        end_for_good(server)
        another_life(server)
        assert requests(server) == first
        assert server.stop() == 0

        file.write_bytes(file.read_bytes()[:-1])
        another_life(server)
        assert f"begin with 0: {file} can't be used, it is damaged" in server.log
        assert requests(server) == {}
        assert server.stop() == 0
        assert sorted(path.name.partition(".aside-")[0] for path in file.parent.iterdir()) == [file.name] * 2


def test_of_two_masters_the_last_one_writes(tmp_path: Path) -> None:
    """After an upgrade, and its end, nothing is counted twice."""
    server = upgradable(Guest(tmp_path, files={"shop.py": APP}, interval=0.2, environ=state_of(tmp_path)))
    file = tmp_path / "state" / f"totals-{server.instance}"
    with server:
        assert load(server.address, PATHS, clients=4, requests=100).responses == 100
        server.signal(signal.SIGUSR2)
        until(lambda: len(server.pids("worker")) == 4, "both serve", 30)
        server.signal(signal.SIGTERM)
        assert server.wait(30) == 0
        assert not file.exists()
        assert load(server.address, PATHS, clients=4, requests=100).responses == 100
        before = requests(server)
        assert before.total() == 200
        server.stop_successor()
        assert server.log.count(f"totals are kept in {file}") == 1
        another_life(server)
        assert requests(server) == before


def test_what_joined_processes_count_is_kept_once(tmp_path: Path) -> None:
    """By the block, which stays for them; where it has lost its name, by themselves."""
    server = Guest(tmp_path, files={"shop.py": APP}, interval=0.2, environ=state_of(tmp_path))

    def started() -> int:
        return int(server.snapshot()["requests"]["started"])

    def end() -> None:
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert "totals are kept in" in server.log

    with server, Joined(tmp_path, server.instance) as joined:
        assert load(server.address, PATHS, clients=4, requests=100).responses == 100
        joined.do("serve", 50)
        end()
        joined.do("serve", 10)
        another_life(server)
        assert started() == 160
        for name in (server.spare, server.block):
            name.unlink(missing_ok=True)
        until(lambda: "was removed" in server.log, "it is seen")
        joined.do("serve", 5)
        end()
        another_life(server)
        assert "100 requests finished" in server.log
        until(lambda: started() == 165, "the process has brought its own")
        joined.do("serve", 5)
        assert started() == 170


def test_a_full_disk_leaves_the_totals_to_the_next_start(tmp_path: Path) -> None:
    """In the block; the stop is a clean one, and the file of before stays whole."""
    server = Server(tmp_path, interval=0.2, environ=state_of(tmp_path))
    state = tmp_path / "state"
    state.mkdir()
    mount = f"mount -t tmpfs -o size=4k tmpfs {state} && exec " + " ".join(server.command)
    server.command = ["unshare", "--mount", "sh", "-c", mount]
    with server:
        assert load(server.address, ["/hello", "/nowhere"], clients=4, requests=100).responses == 100
        before = server.counted()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert "(No space left on device): block" in server.log
        assert "Traceback" not in server.log
        another_life(server)
        assert f"Going on with block {server.block.name}" in server.log
        after = server.counted()
        assert all(after[key] == before[key] for key in (("/hello", 200), ("(unmatched)", 404)))
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        another_life(server, keep_totals="false")
        assert server.stop() == 0


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """A version with another format of the block, another metric, and other buckets; not compiled."""
    newer = tmp_path / "newer"
    shutil.copytree(ROOT / "hvd", newer / "hvd", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name, old, new in (
        ("core/layout.py", "\nFORMAT = ", "\nFORMAT = 1"),
        ("core/durations.py", "if decade == 8", "if decade == 99"),
        ("metrics/columns.py", 'Column("busy_ratio"', 'Column("novel", "count", "", ""),\n    Column("busy_ratio"'),
        ("agg/trend.py", '"busy_ratio": busy_ratio,', '"busy_ratio": busy_ratio,\n        "novel": 7.0,'),
    ):
        path = newer / "hvd" / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
    return newer


def numbers(server: Server) -> Counter[str]:
    """Of /hello: how many, and how long they took."""
    names = [f"hvd_http_request_duration_seconds_{end}" for end in ("count", "sum")]
    labels = frozenset({"method": "GET", "route": "/hello", "status": "200"}.items())
    return Counter({name: server.metrics()[name, labels] for name in names})


def test_another_format_of_the_block_goes_on(newer: Path, tmp_path: Path) -> None:
    """And back: counts, sums, and what the other one knows of the history. A block that a crash left is set aside."""
    server = Server(tmp_path, workers=2, interval=0.2, environ=state_of(tmp_path))
    versions = {"older": str(ROOT), "newer": f"{newer}:{ROOT}"}

    def start(version: str) -> None:
        server._environ["PYTHONPATH"] = versions[version]
        server.log_path.unlink(missing_ok=True)
        server.start(ready=False)  # another format can't be looked at from here
        until(lambda: "Listening at" in server.log and server.is_healthy(), "it serves", 30)

    def serve_some() -> Counter[str]:
        assert load(server.address, ["/hello", "/nowhere"], clients=4, requests=100).responses == 100
        until(lambda: history(server), "a point of the history", 30)
        until(lambda: server.snapshot()["requests"]["in_flight"] == 1, "the last one's duration is counted too")
        return numbers(server)

    try:
        start("older")
        before = serve_some()
        assert server.stop() == 0
        for version in ("newer", "older"):
            began = time.time()
            start(version)
            assert "totals go on from" in server.log
            assert "this version can't take" not in server.log
            assert numbers(server) == pytest.approx(before)
            assert any(point[0] < began for point in history(server)), "what the other one lacks of it is null"
            if version == "newer":
                before = serve_some()
                assert server.stop() == 0
        serve_some()
        server.kill_master()
        until(lambda: not server.processes(), "all have ended")
        start("newer")
        assert "its last totals: " in server.log
        assert numbers(server) == pytest.approx(before)
        assert server.stop() == 0
    finally:
        server.destroy()
        for aside in SHM.glob(f"{server.block.name}.aside-*"):
            aside.unlink()
