"""A reload with other options: companions go over to them, what they do goes on, a second HUP keeps the first's."""

import contextlib
import json
import resource
import signal
import time
from pathlib import Path

from tests.support.jobs import post
from tests.support.server import Server
from tests.support.waiting import until
from tests.support.ws import RawWebSocket

CLIENTS = 50
SLOW, QUICK = 60.0, 0.2  # s between messages, before and after
KINDS = """
[jobs.kinds.plain]
command = ["true"]

[jobs.kinds.long]
command = ["sleep", "60"]
"""


def write(config: Path, **values: object) -> None:
    config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()) + KINDS)


def try_websocket(server: Server) -> int:
    with RawWebSocket(server.address) as client:
        return client.status


def open_files(pid: int) -> int:
    """How many a process may have open."""
    return resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]


def test_a_reload_keeps_clients_and_jobs(tmp_path: Path) -> None:
    """50 clients, with fewer allowed now: all get messages in the new rhythm, another one is refused until more may
    come; a job that runs runs on; both companions are the same, and log from the new level on.
    """
    config = tmp_path / "hvd.toml"
    write(config, interval=SLOW, workers=1, threads=4, max_clients=100)
    environ = {"HVD_CONFIG": str(config)}
    with Server(tmp_path, environ=environ, state_dir=tmp_path / "state") as server, contextlib.ExitStack() as stack:
        companions = server.pids("aggregator"), server.pids("job_runner")
        job = submit(server, "long")
        until(lambda: server.get(f"/jobs/{job}").json()["status"] == "running", "the job runs")
        clients = [stack.enter_context(RawWebSocket(server.address)) for _ in range(CLIENTS)]
        for client in clients:
            client.message()  # the first one; the next would come in a minute
        write(config, interval=QUICK, workers=1, threads=4, max_clients=CLIENTS // 2, log_level="debug")
        server.signal(signal.SIGHUP)
        for client in clients:
            for _ in range(3):
                assert client.message()["data"]["raw"]["websocket_clients"] == CLIENTS
        until(lambda: try_websocket(server) == 503, "no other client may come")
        until(lambda: submit(server, "plain") and "is completed" in server.log, "the runner says more", pause=0.3)
        allowed = open_files(companions[0][0]) + 1000
        write(config, interval=QUICK, workers=1, threads=4, max_clients=allowed)
        server.signal(signal.SIGHUP)
        until(lambda: try_websocket(server) == 101, "another client may come")
        if resource.getrlimit(resource.RLIMIT_NOFILE)[1] > allowed + 1000:
            assert open_files(companions[0][0]) > allowed
        client = clients[0]
        until(lambda: seconds_of_messages(client, 10) > 7 * QUICK, "messages come in that rhythm")
        assert (server.pids("aggregator"), server.pids("job_runner")) == companions
        assert server.get(f"/jobs/{job}").json()["status"] == "running"
        assert not server.alarms


def submit(server: Server, kind: str) -> str:
    with server.connection() as connection:
        answer = post(connection, "/jobs/submit", {"kind": kind, "params": {}})
    assert answer.status == 202, answer.body
    (job,) = answer.json()["job_ids"]
    return str(job)


def seconds_of_messages(client: RawWebSocket, count: int) -> float:
    start = time.monotonic()
    for _ in range(count):
        client.message()
    return time.monotonic() - start


def test_a_second_reload_keeps_the_settings_in_force(tmp_path: Path) -> None:
    """Unchanged or broken, the file does not bring back the settings of the start."""
    file = tmp_path / "hvd.toml"
    file.write_text("workers = 1\n")
    with Server(tmp_path, environ={"HVD_CONFIG": str(file)}) as server:
        deep = f"workers = {'[' * 5000}"
        for number, text in enumerate(("workers = 3\n", "workers = 3\n", "workers = many\n", deep), 1):
            old = set(server.pids("worker"))
            file.write_text(text)
            server.signal(signal.SIGHUP)
            until(lambda old=old: len(now := set(server.pids("worker"))) == 3 and not now & old, f"HUP {number}")


def test_a_reload_applies_the_log_level_and_tells_what_it_can_not_apply(tmp_path: Path) -> None:
    """Nothing that was changed is passed over in silence."""
    file = tmp_path / "hvd.toml"
    file.write_text("workers = 1\n")
    with Server(tmp_path, environ={"HVD_CONFIG": str(file)}) as server:
        file.write_text('workers = 1\nworker_class = "sync"\nlog_level = "debug"\nslots = 70\n')
        server.signal(signal.SIGHUP)
        until(lambda: "slots, worker_class changed; that takes effect at the next start" in server.log, "it is told")
        until(lambda: "[DEBUG]" in server.log, "the log is as asked")
