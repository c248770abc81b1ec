"""What happened to a daemon is told: how it began and ended, reloads, each kind of death, failed boots."""

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

from hvd import __version__
from hvd.metrics.events import Ends, Event, read_ends, read_events
from tests.support.guest import Guest
from tests.support.http import load
from tests.support.jobs import JobsDaemon
from tests.support.joined import Joined
from tests.support.server import Server
from tests.support.waiting import until

MARKS = {"start", "stop", "reload", "death", "boot_failed"}
PLAIN = {"plain": {"command": ["true"]}}
USED = r"; it used \d+(\.\d)? MB"


def events(server: Server, *kinds: str) -> list[Event]:
    """Those of these kinds, or all but alerts, which a slow machine may have; a look that is no request."""
    with server.opened() as block:
        return [event for event in read_events(block) if event["kind"] in (kinds or MARKS)]


def ends(server: Server) -> Ends:
    with server.opened() as block:
        return read_ends(block)


def kill(server: Server, kind: str) -> int:
    """The first process of that kind, once the aggregator has looked at it -> its pid."""

    def looked_at() -> int | None:
        with server.view() as view:
            page = view.companions().last_page
        seen = {process["pid"] for process in page["processes"] if process["proportional"]} if page else set()
        return next((pid for pid in server.pids(kind) if pid in seen), None)

    pid = until(looked_at, f"the aggregator has looked at a {kind}")
    os.kill(pid, signal.SIGKILL)
    return pid


def death_of(server: Server, pid: int) -> Event:
    """What is told of it, once."""
    (event,) = until(
        lambda: [event for event in events(server, "death", "boot_failed") if event.get("pid") == pid],
        f"the death of {pid} is told; log:\n{server.log}",
    )
    return event


def test_starts_reloads_ends_and_deaths_are_told(tmp_path: Path) -> None:
    """Of idle workers, companions and joined processes too; planned ends are counted. All of it outlives a stop, and a
    kill of the master, which is told by the next one.
    """
    with JobsDaemon(tmp_path, PLAIN, workers=2, threads=2, keep_totals=True) as server:
        with Joined(tmp_path, server.instance):
            kinds = {"worker": " while idle", "joined": " while idle", "aggregator": "", "admin_server": ""}
            for kind, idle in {**kinds, "job_runner": ""}.items():
                event = death_of(server, pid := kill(server, kind))
                assert (event["kind"], event["process"]) == ("death", kind)
                name, cause = kind.replace("_", " "), "SIGKILL"
                if kind == "joined":
                    name, cause = "joined process", "unknown"  # it is nobody's child here
                assert re.fullmatch(rf"{name} {pid} died \({cause}\){idle}{USED}", event["text"])
        assert ends(server) == {"planned": 0, "unplanned": 5, "failed_boots": 0}

        server.reload()
        until(lambda: ends(server)["planned"] == 2, "the old workers' ends are planned")
        server.signal(signal.SIGTTIN)
        until(lambda: len(server.pids("worker")) == 3, "another worker")
        server.wait_ready()
        server.signal(signal.SIGTTOU)
        until(lambda: ends(server)["planned"] == 3, "and one less")
        toml = tmp_path / "hvd.toml"
        toml.write_text("max_requests = 20\n" + toml.read_text())
        server.reload()
        load(server.address, ["/hello"], clients=2, requests=100)
        until(lambda: ends(server)["planned"] >= 6, "some have served enough")
        toml.write_text("threads = -1\n")
        server.signal(signal.SIGHUP)
        until(lambda: "in force" in events(server, "reload")[-1]["text"], "it is told that settings can't be read")
        assert ends(server)["unplanned"] == 5
        told = [event for event in server.admin_get("/api/v1/events").json()["events"] if event["kind"] in MARKS]
        assert [event["kind"] for event in told] == ["start", *["death"] * 5, *["reload"] * 3]
        until(lambda: not server.in_progress(), "nothing is in progress")

        server.declare(PLAIN)
        assert server.stop() == 0
        server.start()
        *before, stop, start = events(server)
        assert before == told
        assert (stop["kind"], stop["text"]) == ("stop", f"hvd {__version__} stops")
        assert (start["kind"], start["version"], start["pid"]) == ("start", __version__, server.pid)
        assert ends(server) == {"planned": 0, "unplanned": 0, "failed_boots": 0}

        master = server.pid
        server.kill_master()
        server.start()
        *_, death, start = events(server)
        assert (death["process"], death["pid"], death["cause"]) == ("master", master, "unknown")
        assert start["text"].endswith(", after a daemon that was killed")
        assert ends(server)["unplanned"] >= 1


APP = """\
import os
if os.path.exists({flag!r}):
    raise RuntimeError("not today")
def app(environ, start_response):
    if environ["PATH_INFO"] == "/eat":
        eaten = bytearray(1 << 30)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


def test_a_worker_that_fails_to_boot_ends_the_daemon_and_is_told(tmp_path: Path) -> None:
    """gunicorn ends then; the next start has it in its events."""
    flag = tmp_path / "broken"
    flag.touch()
    server = Guest(tmp_path, files={"shop.py": APP.format(flag=str(flag))}, workers=1, keep_totals=True)
    server._environ["STATE_DIRECTORY"] = str(tmp_path / "state")
    try:
        assert server.start_in_vain() == 3
        flag.unlink()
        with server.start():
            start, failed, stop, again = events(server)
    finally:
        server.destroy()
    assert (start["kind"], failed["kind"], stop["kind"], again["kind"]) == ("start", "boot_failed", "stop", "start")
    cause = "exit 3, an exception while it booted"
    assert re.fullmatch(rf"worker {failed['pid']} failed to boot \({cause}\){USED}", failed["text"])


@contextlib.contextmanager
def memory_cgroup(name: str, most: int) -> Iterator[Path | None]:
    """A cgroup with so much memory; None where this machine lets nobody make one."""
    mount = Path("/sys/fs/cgroup")
    kinds = (mount / "memory", "memory.limit_in_bytes"), (mount, "memory.max")
    folder, limit = next((mount / name, file) for mount, file in kinds if mount.exists())
    try:
        folder.mkdir()
        (folder / limit).write_text(str(most))
    except OSError:
        with contextlib.suppress(OSError):
            folder.rmdir()
        yield None
        return
    try:
        yield folder
    finally:
        until(lambda: not (folder / "cgroup.procs").read_text(), "it is empty")
        folder.rmdir()


def test_the_oom_killer_is_named(tmp_path: Path) -> None:
    """By the real one, in a cgroup with little memory; elsewhere a SIGKILL is only that."""
    name = f"hvd-test-{os.getpid()}"
    with (
        memory_cgroup(name, 400 << 20) as cgroup,
        Guest(tmp_path, files={"shop.py": APP.format(flag=str(tmp_path / "none"))}, workers=1).start(
            ready=False
        ) as server,
    ):
        if cgroup:
            (cgroup / "cgroup.procs").write_text(str(server.pid))
        server.wait_ready()
        (pid,) = server.pids("worker")
        if cgroup:
            with contextlib.suppress(OSError):
                server.get("/eat")
        else:
            os.kill(pid, signal.SIGKILL)
        event = death_of(server, pid)
        if cgroup:
            assert event["cause"] == "SIGKILL, killed by the OOM killer"
            assert (event["peak_bytes"] or 0) > 200 << 20
            what = f"worker {pid} died (SIGKILL, killed by the OOM killer) with 1 request in progress; it used "
            assert event["text"].startswith(what)
        until(lambda: server.pids("worker") not in ([], [pid]), "another worker")
        server.wait_ready()
        (pid,) = server.pids("worker")
        os.kill(pid, signal.SIGKILL)
        assert death_of(server, pid)["cause"] == "SIGKILL"
