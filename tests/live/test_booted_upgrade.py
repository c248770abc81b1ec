"""`hvd upgrade`, the watchdog and readiness under systemd, in a booted system, with the unit that hvd ships."""

import json
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.support.booted import System
from tests.support.http import Connection, Load
from tests.support.server import ROOT
from tests.support.waiting import PATIENCE, until

REQUESTS = 20_000
BIND = ("127.0.0.1", 8080)
SITE = "/opt/hvd/lib/python3.11/site-packages/hvd"
ADMIN = "/run/hvd/127.0.0.1-8080/admin.sock"
SOCKET = "[Socket]\nListenStream=127.0.0.1:8080\n[Install]\nWantedBy=sockets.target\n"


class Machine:
    """The system, with hvd installed as a service."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.out = system.out
        self.run = system.run

    def install(self) -> None:
        """As deploy/README.md says."""
        self.run("useradd --system --home-dir /var/lib/hvd --shell /usr/sbin/nologin hvd")
        self.run("python3 -m venv /opt/hvd && /opt/hvd/bin/pip install --quiet hvd", seconds=240)
        self.system.write("/etc/hvd/hvd.toml", "workers = 2\nthreads = 4\n")
        self.system.write("/etc/systemd/system/hvd.service", (ROOT / "deploy" / "hvd.service").read_text())
        self.run("systemctl daemon-reload && systemctl start hvd")

    def show(self, name: str) -> str:
        return self.out(f"systemctl show --property={name} --value hvd")

    @property
    def main(self) -> int:
        return int(self.show("MainPID"))

    def override(self, text: str) -> None:
        """Lines that the unit has beside its own."""
        self.system.write("/etc/systemd/system/hvd.service.d/test.conf", text)
        self.run("systemctl daemon-reload")

    def health(self) -> dict[str, Any]:
        """What the admin server says."""
        answer: dict[str, Any] = json.loads(self.out(f"curl -s --max-time 5 --unix-socket {ADMIN} http://hvd/health"))
        return answer

    def total(self) -> int:
        """Requests so far."""
        answer = self.out(f"curl -s --max-time 5 --unix-socket {ADMIN} http://hvd/api/v1/snapshot")
        return int(json.loads(answer)["http_requests"])

    def upgrade(self, code: int = 0, user: str = "root") -> str:
        """-> what `hvd upgrade` prints."""
        done = self.run("/opt/hvd/bin/hvd upgrade 2>&1", check=False, seconds=120, user=user)
        assert done.returncode == code, f"{done.stdout}\n{self.system.journal('hvd')[-6000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with System() as system:
        machine = Machine(system)
        machine.install()
        yield machine


class Falls:
    """Reads the total again and again: it never falls."""

    def __init__(self, system: System) -> None:
        self.reads, self.falls = 0, list[tuple[int, int]]()
        self._over = threading.Event()
        self._system = system
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        before = 0
        with self._system.network():
            while not self._over.wait(0.05):
                with Connection(BIND) as connection:
                    now = connection.get("/api/v1/snapshot", Connection="close").json()["http_requests"]
                self.reads += 1
                if now < before:
                    self.falls.append((before, now))
                before = now

    def __enter__(self) -> "Falls":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()


def longest_hole(machine: Machine) -> float:
    """Of the history: how many points are missing between two."""
    answer = json.loads(machine.out(f"curl -s --unix-socket {ADMIN} http://hvd/api/v1/history"))
    times = [point[answer["columns"].index("time")] for point in answer["points"]]
    assert len(times) > 3
    return max(after - before for before, after in pairwise(times)) / answer["interval_seconds"] - 1


def test_it_is_healthy_once_systemd_says_that_it_is_started(machine: Machine) -> None:
    """STATUS says so, and follows; no job or companion can tell systemd anything by its environment."""
    assert machine.health()["status"] == "healthy"
    assert "is healthy" in machine.show("StatusText")
    assert machine.show("ActiveState") == "active"


def test_upgrades_lose_nothing_and_one_that_fails_goes_back(machine: Machine) -> None:
    """Of 20,000 requests; the service's own user may do it as well. A unit that would end by it is left alone."""
    first = machine.main
    with machine.system.network(), Load(BIND, ["/health"], 4, pause=0) as load, Falls(machine.system) as falls:
        machine.run(f"sed -i 's/^__version__ = .*/__version__ = \"9.9.9\"/' {SITE}/__init__.py")
        assert "to 9.9.9 in" in machine.upgrade()
        second = machine.main
        assert second != first
        assert machine.health()["version"] == "9.9.9"
        machine.run(f"cp {SITE}/web/wsgi.py /tmp && echo 'raise RuntimeError(\"broken release\")' >>{SITE}/web/wsgi.py")
        said = machine.upgrade(1)
        assert "broken release" in said
        assert f"(master {second}) serves on" in said
        machine.run(f"cp /tmp/wsgi.py {SITE}/web/wsgi.py")
        machine.override("[Service]\nNotifyAccess=main\n")
        assert "hvd.service would end with the old master, as it has NotifyAccess=main: it needs" in machine.upgrade(5)
        machine.override("[Service]\nExecStop=\n")
        assert (
            "hvd.service would kill the new master at once at its next stop, as it has no ExecStop="
            in machine.upgrade(5)
        )
        machine.override("")
        assert (machine.main, machine.show("ActiveState")) == (second, "active")
        machine.upgrade(user="hvd")
        assert machine.main not in (first, second)
        until(lambda: machine.total() >= REQUESTS, f"{REQUESTS} requests", 120)
    assert load.tally.failed.total() == 0, load.tally.failed
    assert machine.total() >= load.tally.responses + falls.reads >= 0.9 * REQUESTS
    assert not falls.falls
    assert falls.reads > 10
    assert longest_hole(machine) < 2.5
    assert machine.show("NRestarts") == "0"


def test_a_promoted_master_that_is_killed_is_noticed(machine: Machine) -> None:
    """And started again, with its totals; the one before it may be killed once the new one is ready."""
    before, old = machine.total(), machine.main
    machine.run(f"kill -USR2 {old}")
    killed = until(lambda: machine.main not in (0, old) and machine.main, "the new one is the main process", 60)
    machine.run(f"kill -KILL {old}")
    until(lambda: "Master has been promoted." in machine.system.journal("hvd", "--lines=20"), "it is alone", 30)
    assert (machine.main, machine.show("ActiveState"), machine.show("NRestarts")) == (killed, "active", "0")
    machine.run(f"kill -KILL {killed}")
    until(lambda: machine.main not in (0, killed), "another one is started", 30)
    until(lambda: machine.show("ActiveState") == "active", "it is ready", 60)
    assert machine.total() >= before
    assert machine.show("NRestarts") == "1"


def test_a_master_that_stands_still_is_replaced(machine: Machine) -> None:
    """By the watchdog, within 15 s, with its totals; /health says it meanwhile."""
    before, stopped, began = machine.total(), machine.main, time.monotonic()
    machine.run(f"kill -STOP {stopped}")
    (reason,) = machine.health()["reasons"]
    assert f"master (pid {stopped}) is stopped for " in reason
    until(lambda: machine.main not in (0, stopped), "another one is started", 30)
    until(lambda: machine.show("ActiveState") == "active", "it is ready", 60)
    journal = machine.out("journalctl --unit hvd --no-pager --output short-monotonic --lines 40")
    assert time.monotonic() - began < 15 * PATIENCE, journal
    assert machine.total() >= before
    assert "watchdog" in machine.system.journal("hvd").lower()


def test_upgrades_with_systemd_s_own_socket(machine: Machine) -> None:
    """Two in a row: the socket stays where the next master looks for it. Then a stop, which waits for that master."""
    machine.run("systemctl stop hvd")
    machine.system.write("/etc/systemd/system/hvd.socket", SOCKET)
    machine.run("systemctl daemon-reload && systemctl start hvd.socket hvd")
    with machine.system.network(), Load(BIND, ["/health"], 2) as load:
        for _ in range(2):
            machine.upgrade()
    assert load.tally.failed.total() == 0, load.tally.failed
    assert load.tally.responses > 100
    total = machine.total()
    machine.run("systemctl stop hvd.socket hvd")
    assert machine.show("Result") == "success", "the promoted master has its time to stop"
    assert f"ends: {total} requests finished" in machine.system.journal("hvd", "--lines=9")
