"""Which of a daemon's masters leads, and what the leading one tells the service manager (notify.py).

A master is ready once each of its companions has published, and its workers serve. Of two masters, while an upgrade
(USR2) is under way, the one leads that was ready last; the manager is told that it is the main process (MAINPID). So
the new master takes the lead once it can go on alone, and the old one has it again where the new one ends. Who leads
says in STATUS how the daemon is, and gives the manager's watchdog its signs of life: from the master's loop, and from
nowhere else.
"""

import os
import time
from collections.abc import Callable, Collection
from typing import Any

from hvd import __version__
from hvd.core import layout
from hvd.core.beats import OwnBeat, beats, has_been_overtaken, leads
from hvd.core.block import Block
from hvd.core.pages import Page
from hvd.core.slots import Slot, Slots
from hvd.daemon.notify import Manager
from hvd.metrics.companion_pages import decode
from hvd.read.health import HealthState
from hvd.texts import plain

PATIENCE = 30.0
"""Seconds after which a daemon that is not ready counts as started all the same: systemd would end it after 90, and the
service may work without what is missing. STATUS and /health say what that is."""

STATUS_MAX = 400  # characters


class Lead:
    """One master's. Its main thread uses it."""

    def __init__(self, server: Any, block: Block, manager: Manager, health: Callable[[], HealthState]) -> None:
        self._server, self._block, self._pid = server, block, os.getpid()
        self._health = health
        self.manager = manager
        if manager.address:
            manager.open()
        self._own = OwnBeat(block, self._pid)
        self._began = time.monotonic()
        self._is_ready = self._is_main = self._is_ending = False
        self._claims_pid = server.master_pid != 0  # the manager knows whom it has started
        self._fed = float("-inf")
        self._status = ""

    def beat(self) -> None:
        """Note that the master's loop, or a long part of it, goes on."""
        if self._is_ending:
            return
        self._own.turn()
        now = time.monotonic()
        if self.manager.feeding and now - self._fed >= self.manager.feeding and leads(self._block, self._pid):
            self._fed = now
            self.manager.tell(WATCHDOG=1)

    def turn(self, companions: Collection[int], missing: int) -> None:
        """At each turn of the loop; there are companions of these kinds, and so many workers that can't be started."""
        self.beat()
        if self._is_ending:
            return
        if not self._is_ready and self._has_begun(companions, missing):
            self._is_ready = True
            self._own.say_ready()
        if leads(self._block, self._pid):
            self._take_lead()
        else:
            self._lose_lead()

    def _lose_lead(self) -> None:
        """Note that the manager takes another process for the main one."""
        self._is_main, self._claims_pid, self._status = False, True, ""

    def _has_begun(self, companions: Collection[int], missing: int) -> bool:
        slots = [slot for slot in Slots(self._block).taken() if slot.master == self._pid]
        serving = sum(slot.kind == layout.KIND_WORKER and slot.threads > 0 for slot in slots)
        serving += sum(worker.hvd_slot is None for worker in self._server.WORKERS.values())  # it counts nothing
        published = {slot.kind for slot in slots if slot.kind != layout.KIND_WORKER and self._has_published(slot)}
        return published >= {*companions} and 0 < serving >= self._server.num_workers - missing

    def _has_published(self, slot: Slot) -> bool:
        page = decode(Page(self._block, slot.number).read()) if slot.number < layout.COMPANION_SLOTS else None
        return page is not None and page["monotonic_ns"] >= slot.taken_ns

    def _take_lead(self) -> None:
        if self._is_ready and has_been_overtaken(self._block, self._pid):
            self._lose_lead()
            self._own.say_ready()
        if not self._is_main and (self._is_ready or time.monotonic() - self._began > PATIENCE):
            claim = {"MAINPID": self._pid} if self._claims_pid else {}
            self._is_main = self.manager.tell(READY=1, **claim)
        if self.manager.address and (status := self._describe()) != self._status and self.manager.tell(STATUS=status):
            self._status = status

    def _describe(self) -> str:
        health = self._health()
        reasons = f": {'; '.join(health.reasons)}" if health.reasons else ""
        return plain(f"hvd {__version__} is {health.status}{reasons}", most=STATUS_MAX)

    def end(self) -> None:
        """Note that the master stops: another one leads, if one lives; else the service ends."""
        if self._is_ending:
            return
        self._is_ending = True
        self._own.end()
        others = [beat.pid for beat in beats(self._block) if beat.pid != self._pid]
        if successor := others[0] if others else self._server.reexec_pid:
            self.manager.tell(MAINPID=successor)
        else:
            self.manager.tell(STOPPING=1, STATUS="stopping")
