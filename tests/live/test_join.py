"""Processes that are no workers, and count in a daemon's block: whatever becomes of the daemon, and of them."""

import os
import signal
from pathlib import Path

import pytest

from hvd.core import layout
from hvd.errors import JoinRefused
from hvd.instrument.joining import Joining
from tests.support.guest import Guest
from tests.support.joined import Joined
from tests.support.server import Server, upgradable
from tests.support.waiting import until

Proof = tuple[int, int, int]
JOINED_PROCESSES = "hvd_processes", frozenset({("kind", "joined")})


def proof(server: Server) -> Proof:
    """Finished, in flight, aborted; their sum is what has started, at every read."""
    requests = server.snapshot()["requests"]
    assert requests["started"] == requests["finished"] + requests["in_flight"] + requests["aborted"]
    return requests["finished"], requests["in_flight"], requests["aborted"]


def comes_to(server: Server, *numbers: int) -> None:
    until(lambda: proof(server) == numbers, f"finished, in flight, aborted are {numbers}")


def test_nothing_is_lost_whatever_becomes_of_the_daemon(tmp_path: Path) -> None:
    """It comes later, stops, is killed, is upgraded, loses its block; and the process has requests in progress."""
    guest = upgradable(Guest(tmp_path))
    with Joined(tmp_path, guest.instance) as early:
        early.do("serve", 100)
        early.do("begin", 2)
        with guest.start(ready=False), Joined(tmp_path, guest.instance) as late:
            guest.wait_ready()
            comes_to(guest, 100, 2, 0)
            late.do("serve", 20)
            early.do("serve", 3)
            early.do("end")
            comes_to(guest, 125, 0, 0)
            assert sum(guest.samples("hvd_http_response_size_bytes_count").values()) == 125
            snapshot = guest.snapshot()
            assert snapshot["workers_alive"] == 2
            kinds = {worker["pid"]: (worker["kind"], worker["requests"]) for worker in snapshot["workers"]}
            assert kinds[early.process.pid] == ("joined", 105)
            assert kinds[late.process.pid] == ("joined", 20)
            until(lambda: guest.admin_metrics().get(JOINED_PROCESSES) == 2, "both are seen")

            guest.signal(signal.SIGTERM)
            guest.wait()
            assert guest.block.exists(), "its cells are in use"
            early.do("serve", 5)
            guest.start()
            late.do("serve", 5)
            comes_to(guest, 135, 0, 0)

            guest.kill_master()
            early.do("serve", 5)
            guest.start()
            comes_to(guest, 140, 0, 0)
            assert not [line for line in guest.alarms if "Taking over" not in line]

            guest.signal(signal.SIGTERM)
            guest.wait()
            guest.block.unlink()  # somebody makes room
            early.do("serve", 5)
            guest.start()
            until(lambda: len(guest.pids("joined")) == 2, "both have joined the new block")
            late.do("serve", 5)
            comes_to(guest, 105 + 15 + 20 + 5 + 5, 0, 0)
            late.process.kill()
            until(lambda: len(guest.pids("joined")) == 1, "its slot comes back")
            guest.signal(signal.SIGTERM)
            guest.wait()
            assert guest.block.exists()
    assert not guest.block.exists(), "the last one that had joined has removed it"


def test_fifty_are_killed(tmp_path: Path) -> None:
    """Children of one that has joined, each in a slot of its own, with a request in progress: settled as a worker's."""
    with Guest(tmp_path, slots=80) as guest:
        with Joined(tmp_path, guest.instance) as parent:
            parent.do("fork", 50)
            comes_to(guest, 50, 50, 0)
            pids = set(guest.pids("joined"))
            assert len(pids) == 51
            for pid in pids - {parent.process.pid}:
                os.kill(pid, signal.SIGKILL)
            comes_to(guest, 50, 0, 50)
            assert guest.pids("joined") == [parent.process.pid]
            mortem = guest.snapshot()["post_mortems"][0]
            assert (mortem["kind"], mortem["requests"][0]["path"]) == ("joined", "/slow")
            parent.do("fork", 50)
            comes_to(guest, 100, 50, 50)
            assert len(guest.pids("joined")) == 51
            os.killpg(parent.process.pid, signal.SIGKILL)
        comes_to(guest, 100, 0, 100)
        until(lambda: guest.pids("joined") == [], "all slots come back")
        assert guest.pids("worker")


def test_it_goes_on_through_an_upgrade(tmp_path: Path) -> None:
    """Both masters have the block; neither settles whoever lives."""
    with upgradable(Guest(tmp_path)) as guest, Joined(tmp_path, guest.instance) as joined:
        joined.do("serve", 10)
        guest.signal(signal.SIGUSR2)
        with guest.opened() as block:
            until(lambda: len(block.masters()) == 2, "the new master has the block", 30)
            joined.do("serve", 10)
            guest.signal(signal.SIGTERM)
            guest.wait()
            (new,) = block.masters()
            joined.do("serve", 10)
            with guest.view() as view:
                assert view.totals().heads.finished == 30
        os.kill(new, signal.SIGTERM)
        until(lambda: not guest.processes(), "the new master ends", 30)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user; tests/unit has it for others")
def test_another_user_is_refused(tmp_path: Path) -> None:
    """By name, with what to do; root is another user too, for a daemon that isn't its own."""
    with Guest(tmp_path) as guest:
        reader, writer = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                os.setuid(65534)
                Joining(guest.instance).begin()
            except JoinRefused as error:
                os.write(writer, str(error).encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        os.close(writer)
        with open(reader, "rb") as refusal:
            said = refusal.read().decode()
        assert said.startswith(f"daemon {guest.instance} is that of user root, and this process is ")
        os.chown(guest.block, 65534, 65534)
        with pytest.raises(JoinRefused, match="run it as"):
            Joining(guest.instance).begin()
        os.chown(guest.block, 0, 0)
        assert guest.pids(layout.KIND_NAMES[layout.KIND_JOINED]) == []
