"""What a master tells the service manager as it gets ready, as another one comes and goes, and as it ends."""

import os
import socket
import time
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from hvd import __version__
from hvd.companion.child import as_json
from hvd.core import layout
from hvd.core.beats import OwnBeat, beats, leads
from hvd.core.block import Block
from hvd.core.pages import Page
from hvd.core.slots import Slots
from hvd.daemon import lead as lead_module
from hvd.daemon.lead import Lead
from hvd.daemon.notify import Manager
from hvd.read.health import HealthState
from tests.unit.figures import make_page

OWN, OTHER = os.getpid(), os.getppid()
COMPANIONS = {layout.KIND_AGGREGATOR}


class Told:
    """A manager's end, and the master beside it. `lead` is the master of this very process."""

    def __init__(self, block: Block, *, is_upgrade: bool) -> None:
        self.block, self.slots = block, Slots(block)
        address = f"@hvd-test-{uuid.uuid4().hex}"
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.listener.bind(address.replace("@", "\0", 1))
        self.listener.setblocking(False)
        self.health = HealthState("healthy", [])
        self.server: Any = SimpleNamespace(
            master_pid=OTHER if is_upgrade else 0, reexec_pid=0, WORKERS={}, num_workers=1
        )
        block.add_master(OWN)
        self.lead = Lead(self.server, block, Manager(address, 0.001), lambda: self.health)

    def begin(self) -> None:
        """Its aggregator publishes, and its worker serves."""
        slot = self.slots.claim(layout.KIND_AGGREGATOR, OWN)
        self.slots.name_process(slot, OWN)
        Page(self.block, slot).write(as_json({**make_page(), "monotonic_ns": time.monotonic_ns()}))
        self.slots.say_ready(self.slots.claim(layout.KIND_WORKER, OWN, OWN), 1)

    def turn(self, missing: int = 0) -> list[str]:
        """A turn of the loop -> what the manager hears, signs of life left out."""
        self.lead.turn(COMPANIONS, missing)
        return [message for message in self.heard() if message != "WATCHDOG=1"]

    def heard(self) -> list[str]:
        messages = []
        while True:
            try:
                messages.append(self.listener.recv(4096).decode().strip().replace("\n", " "))
            except BlockingIOError:
                return messages


@pytest.fixture
def told(block: Block, request: pytest.FixtureRequest) -> Iterator[Told]:
    told = Told(block, is_upgrade=getattr(request, "param", False))
    yield told
    told.listener.close()
    told.lead.manager.close()


STATUS = f"STATUS=hvd {__version__} is"


def test_it_is_ready_once_its_companions_have_published_and_its_workers_serve(told: Told) -> None:
    """Once; and STATUS says how it is, as it changes. The watchdog hears of it from the beginning."""
    told.health = HealthState("starting", [])
    assert told.turn() == [f"{STATUS} starting"]
    assert told.turn() == []
    told.begin()
    told.health = HealthState("healthy", [])
    told.server.num_workers = 2
    assert told.turn() == [f"{STATUS} healthy"], "a worker is missing"
    assert told.turn(missing=1) == ["READY=1"], "and can't be started"
    told.health = HealthState("degraded", ["one\nthing", "another"])
    assert told.turn() == [f"{STATUS} degraded: one\\nthing; another"]
    told.lead.beat()
    time.sleep(0.001)
    told.lead.beat()
    assert "WATCHDOG=1" in told.heard()
    told.lead.end()
    told.lead.end()
    assert told.heard() == ["STOPPING=1 STATUS=stopping"]
    assert told.turn() == []
    assert beats(told.block)[0].turned_ns == 0


def test_a_manager_that_takes_nothing_is_told_later(told: Told) -> None:
    """READY above all."""
    told.begin()
    while told.lead.manager.tell(WATCHDOG=1):
        pass
    told.lead.turn(COMPANIONS, 0)
    told.heard()
    assert told.turn() == ["READY=1", f"{STATUS} healthy"]


def test_what_does_not_get_ready_counts_as_started_in_the_end(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """But not for `hvd upgrade`, nor beside another master."""
    monkeypatch.setattr(lead_module, "PATIENCE", 0.0)
    assert told.turn()[0] == "READY=1"
    assert beats(told.block)[0].ready_ns == 0


@pytest.mark.parametrize("told", [True], indirect=True)
def test_the_new_master_takes_the_lead_and_hands_it_back(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only once it is ready, however long that takes."""
    other = OwnBeat(told.block, OTHER)
    told.block.add_master(OTHER)
    other.say_ready()
    monkeypatch.setattr(lead_module, "PATIENCE", 0.0)
    assert told.turn() == []
    told.begin()
    assert told.turn() == [f"READY=1 MAINPID={OWN}", f"{STATUS} healthy"]
    told.lead.end()
    assert told.heard() == [f"MAINPID={OTHER}"]
    assert leads(told.block, OTHER)


def test_the_old_master_stands_back_and_takes_the_lead_again(told: Told) -> None:
    """Meanwhile it tells nothing, not even that it lives. If it ends before the new one has its place in the block,
    the manager follows that all the same.
    """
    told.begin()
    assert told.turn() == ["READY=1", f"{STATUS} healthy"]
    told.block.add_master(OTHER)
    other = OwnBeat(told.block, OTHER)
    assert told.turn() == [], "the new one isn't ready"
    other.say_ready()
    told.heard()
    time.sleep(0.001)
    told.lead.turn(COMPANIONS, 0)
    assert told.heard() == []
    other.end()
    assert told.turn() == [f"READY=1 MAINPID={OWN}", f"{STATUS} healthy"]
    other.say_ready()
    told.block.drop_master(OTHER)
    assert told.turn() == [f"READY=1 MAINPID={OWN}", f"{STATUS} healthy"], "the new one was killed between two turns"
    assert told.turn() == []
    told.server.reexec_pid = OTHER
    told.lead.end()
    assert told.heard() == [f"MAINPID={OTHER}"]
