"""deploy/README.md, followed line by line on a Debian that has just booted: lines that stand in are its commands."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests.support.booted import System
from tests.support.waiting import PATIENCE, until

TEXT = (Path(__file__).parents[2] / "deploy" / "README.md").read_text()
ADDRESS = ("127.0.0.1", 8080)
ASKED = "curl --fail --silent --unix-socket /run/hvd/127.0.0.1-8080/admin.sock http://hvd"
PAGE = "curl --fail --silent --retry 20 --retry-all-errors --header 'Accept: text/html' http://127.0.0.1:8000/"
KIND = (
    '[jobs.kinds.who]\ncommand = ["sh", "-c", "cat /proc/self/oom_score_adj; id -un; touch /etc/x /home/x || exit 0"]\n'
)
MISTAKES = "workers = 0\nwrokers = 2\n[limits]\nhead_seconds = -1\n[jobs]\ngrace = true\n"
ERROR, WARNING, INFO = "3", "4", "6"


def commands(heading: str) -> list[str]:
    """Those of the text under this heading."""
    (part,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    return re.findall(r"^    (\S.*)$", part, re.MULTILINE)


class Machine:
    """The booted system, as an operator works on it."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.run, self.out = system.run, system.out

    def follow(self, *headings: str) -> None:
        """Carry out what the text says there."""
        for command in [command for heading in headings for command in commands(heading)]:
            self.run(command, seconds=150)

    def settings(self, text: str) -> None:
        """Write them, as an operator's editor does."""
        self.system.write("/etc/hvd/hvd.toml", text)

    def snapshot(self) -> dict[str, Any]:
        """What the admin server tells, whatever else happens."""
        answer: dict[str, Any] = json.loads(self.out(f"{ASKED}/api/v1/snapshot", check=False) or "{}")
        return answer

    def until_healthy(self) -> None:
        """Each worker serves, and nothing is missing."""
        until(lambda: self.snapshot().get("health") == "healthy", "it is healthy", 30, pause=0.2)

    def journal(self) -> list[dict[str, str]]:
        """What hvd's processes have written since the boot."""
        lines = self.out("journalctl --boot --output json SYSLOG_IDENTIFIER=hvd").splitlines()
        return [json.loads(line) for line in lines]

    @contextmanager
    def load(self) -> Iterator[list[str]]:
        """Requests meanwhile, each on a connection of its own; yields what went wrong."""
        wrong, ends, answered = list[str](), threading.Event(), threading.Semaphore(0)

        def ask() -> None:
            while not ends.is_set():
                try:
                    connection = HTTPConnection(*ADDRESS, timeout=60 * PATIENCE)
                    connection.request("GET", "/status", headers={"Connection": "close"})
                    response = connection.getresponse()
                    response.read()
                    wrong.extend([] if response.status == 200 else [f"status {response.status}"])
                    connection.close()
                except (OSError, HTTPException) as error:
                    wrong.append(repr(error))
                answered.release()
                ends.wait(0.02)  # what is to be shown are pauses, not speed

        with self.system.network():
            threads = [threading.Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
        try:
            answered.acquire()
            yield wrong
            answered.acquire()
        finally:
            ends.set()
            for thread in threads:
                thread.join()


@pytest.mark.long(58)
@pytest.mark.timeout(900)
def test_the_text_leads_from_nothing_to_a_service_and_back() -> None:
    """Each section, in its order; between them what an operator meets: wrong settings, a crash, a reboot."""
    with System() as system:
        machine = Machine(system)
        began = time.monotonic()
        machine.follow("Install", "Start", "nginx")
        assert "<title>" in machine.out(PAGE)
        assert time.monotonic() - began < 180 * PATIENCE
        machine.until_healthy()
        the_unit_is_hardened_and_its_journal_sorted(machine)
        jobs_run_and_go_first(machine)
        wrong_settings_fail_the_reload(machine)
        restarts_lose_no_request(machine)
        it_goes_on_after_a_crash_and_a_reboot(machine)
        sockets_open_to_another_group(machine)
        machine.follow("Remove")
        nothing_is_left(machine)


def the_unit_is_hardened_and_its_journal_sorted(machine: Machine) -> None:
    (exposure,) = re.findall(r"exposure level for hvd.service: ([\d.]+)", machine.out("systemd-analyze security hvd"))
    assert float(exposure) < 1.5
    lines = machine.journal()
    start = next(line for line in lines if line["MESSAGE"].startswith("hvd 0"))
    assert start["PRIORITY"] == INFO
    assert "hot path hvd.core._hotrow compiled" in start["MESSAGE"]
    assert not [line["MESSAGE"] for line in lines if re.match(r"<\d>|\[20\d\d-", line["MESSAGE"])]


def jobs_run_and_go_first(machine: Machine) -> None:
    """With a higher score than the daemon has, as its user, and kept to its folders. Sections of the text do it."""
    machine.settings(KIND)
    with machine.load() as wrong:
        for command in commands("Change settings"):
            if "restart" not in command:
                machine.run(command)
        until(lambda: "who" in machine.out("hvd jobs kinds", check=False), "its kind is known", 20, pause=0.2)
        job = machine.out("hvd jobs submit who --timeout 60")
        machine.run(f"hvd jobs wait {job}")
        score, user, *refusals = machine.out(f"hvd jobs output {job}").splitlines()
    assert not wrong
    assert (int(score), user, len(refusals)) == (500, "hvd", 2)
    pid = machine.out("systemctl show --property MainPID --value hvd")
    assert int(machine.out(f"cat /proc/{pid}/oom_score_adj")) < int(score)


def pids_of(snapshot: dict[str, Any]) -> set[int]:
    """Its workers'."""
    return {worker["pid"] for worker in snapshot["workers"]}


def wrong_settings_fail_the_reload(machine: Machine) -> None:
    """All mistakes are in the journal, as errors; what ran goes on."""
    machine.settings(MISTAKES)
    check = machine.run("hvd check", check=False)
    assert check.returncode == 2
    assert check.stderr.startswith("hvd: read /etc/hvd/hvd.toml; environment: the unit's, with /etc/hvd/hvd.env\n")
    assert "4 problems" in check.stderr
    before = machine.snapshot()
    assert machine.run("systemctl reload hvd", check=False).returncode != 0
    errors = [line["MESSAGE"] for line in machine.journal() if line["PRIORITY"] == ERROR]
    assert any("wrokers (/etc/hvd/hvd.toml:2) is no setting" in line for line in errors)
    after = machine.snapshot()
    assert pids_of(after), "those of a reload before may have ended by now"
    assert pids_of(after) <= pids_of(before)


def restarts_lose_no_request(machine: Machine) -> None:
    """As the text says, by the socket; the last totals are in the journal, and then the unit is as it was."""
    machine.settings("workers = 3\n")
    with machine.load() as wrong:
        machine.follow("Change settings")
    assert not wrong
    machine.until_healthy()
    assert len(machine.snapshot()["workers"]) == 3
    assert any(re.search(r"hvd \S+ ends: \d+ requests finished", line["MESSAGE"]) for line in machine.journal())


def it_goes_on_after_a_crash_and_a_reboot(machine: Machine) -> None:
    """The master is killed, and the next one goes on with its totals. After a reboot all of it goes on as well."""
    before = machine.snapshot()["http_requests"]
    machine.run("systemctl kill --kill-who=main --signal=KILL hvd")
    until(lambda: machine.snapshot().get("http_requests", -1) >= before, "totals go on", 20, pause=0.2)
    machine.until_healthy()
    machine.system.reboot()
    machine.until_healthy()
    after = machine.snapshot()
    assert after["http_requests"] >= before
    assert after["uptime_seconds"] < 120 * PATIENCE
    assert "<title>" in machine.out(PAGE)
    assert machine.out("systemctl --failed --no-legend") == ""


def sockets_open_to_another_group(machine: Machine) -> None:
    """Once chown is allowed; until then the log says what it takes."""
    asked = f"runuser -u www-data -- {ASKED}/health"
    assert machine.run(asked, check=False).returncode != 0
    machine.run("usermod -aG www-data hvd")
    machine.settings('socket_group = "www-data"\n')
    machine.run("systemctl restart hvd")
    assert any("SystemCallFilter=@chown" in line["MESSAGE"] for line in machine.journal())
    machine.system.write("/etc/systemd/system/hvd.service.d/group.conf", "[Service]\nSystemCallFilter=@chown\n")
    machine.run("systemctl daemon-reload; systemctl restart hvd")
    machine.until_healthy()
    assert machine.run(asked).returncode == 0
    machine.run("rm -r /etc/systemd/system/hvd.service.d")


def nothing_is_left(machine: Machine) -> None:
    found = "find / -xdev -name '*hvd*' -not -path '/proc/*' -not -path '/wheels/*' -not -path '/sys/*'"
    assert machine.out(found, check=False) == ""
    assert machine.run("id hvd", check=False).returncode != 0
    with machine.system.network(), pytest.raises(ConnectionRefusedError):
        socket.create_connection(ADDRESS, timeout=5)
