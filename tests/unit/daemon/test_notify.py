"""The datagrams that a service manager gets, read from a socket of its kind; and what gunicorn would send by itself."""

import os
import resource
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from gunicorn import systemd
from gunicorn.arbiter import Arbiter

from hvd.daemon.notify import VARIABLES, Manager
from tests.unit.core.support import ended, fork
from tests.unit.daemon.test_arbiter import source


@pytest.fixture(params=["abstract", "path"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A manager's socket, and its address as NOTIFY_SOCKET has it."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@hvd-test-{uuid.uuid4().hex}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address.replace("@", "\0", 1))
        listener.setblocking(False)
        yield listener, address


def test_each_message_is_one_datagram_of_lines(manager: tuple[socket.socket, str]) -> None:
    """A value never begins a line of its own; a manager that takes nothing holds nobody up, and is told of."""
    listener, address = manager
    told = Manager(address)
    assert told.tell(READY=1, STATUS="bad\nMAINPID=1")
    assert listener.recv(4096) == b"READY=1\nSTATUS=bad MAINPID=1\n"
    threads = threading.active_count()
    while told.tell(WATCHDOG=1):
        pass
    assert listener.recv(4096) == b"WATCHDOG=1\n"
    assert told.tell(WATCHDOG=1)
    assert threading.active_count() == threads
    listener.close()
    assert not told.tell(WATCHDOG=1)
    told.close()
    assert Manager().tell(WATCHDOG=1), "nobody wants to know"


def test_a_process_without_a_free_descriptor_tells_that_it_lives(manager: tuple[socket.socket, str]) -> None:
    """Else it would be killed, though it works."""
    listener, address = manager

    def tell() -> None:
        told = Manager(address)
        told.open()
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
        assert told.tell(WATCHDOG=1)

    assert ended(fork(tell)) == 0
    assert listener.recv(4096) == b"WATCHDOG=1\n"


def test_the_watchdog_is_of_the_process_that_it_names() -> None:
    """The variables reach other processes by mistake; the next master gets them with its own pid."""
    ours = dict(zip(VARIABLES, ("@x", "3000000", str(os.getpid())), strict=True))
    manager = Manager.of(ours)
    assert manager == Manager("@x", 3.0)
    assert manager.feeding == 1.0
    passed = {"WATCHDOG_PID": "1"}
    manager.pass_on(passed)
    assert passed == ours
    assert Manager.of({**ours, "WATCHDOG_PID": "1"}) == Manager.of({**ours, "WATCHDOG_USEC": "x"}) == Manager("@x")
    assert Manager.of({name: ours[name] for name in VARIABLES[:2]}) == manager
    assert Manager.of({"WATCHDOG_USEC": "3000000"}) == Manager()
    Manager().pass_on(passed := {})
    assert passed == {}


def test_gunicorn_finds_its_manager_in_the_environment_after_on_starting() -> None:
    """So what is taken out there is told by nobody but hvd."""
    start, notify = source(Arbiter.start), source(systemd.sd_notify)
    assert start.index("self.cfg.on_starting(self)") < start.index("systemd.sd_notify(")
    assert start.count("sd_notify(") == 1
    assert "sd_notify" not in source(Arbiter).replace(start, "")
    assert "addr = os.environ.get('NOTIFY_SOCKET')\n    if addr is None:" in notify
    assert notify.index("if addr is None:") < notify.index("socket.socket(")
