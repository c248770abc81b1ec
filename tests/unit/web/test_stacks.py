"""`/api/v1/stacks`: which workers' stacks it gives, with the requests of their threads, and what it says without."""

import os
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import falcon.testing
import pytest

from hvd.companion.log import WAKE
from hvd.core import layout
from hvd.core.block import Block
from hvd.core.rows import Rows
from hvd.core.slots import Slots
from hvd.core.stacks import StackFile
from hvd.daemon.logs import CompanionLog
from hvd.metrics.table import FAMILIES
from hvd.read.stacks import TROUBLE, LastStacks
from hvd.web import stacks
from hvd.web.app import create_app
from hvd.web.here import Here
from hvd.web.stacks import ask, wake_any

PATH = "/api/v1/stacks"
TEXT = 'Thread 0x{:x} (most recent call first):\n  File "/srv/app.py", line 7 in view\n'


class Scene:
    """A block with a worker that serves a request, and a master that takes its stacks as soon as it is woken."""

    def __init__(self, block: Block, file: StackFile) -> None:
        self.block, self.file = block, file
        self.slots, self.last = Slots(block), LastStacks(block, file)
        self.number = self.slots.claim(layout.KIND_WORKER, os.getpid(), os.getpid())
        self.slots.claim(layout.KIND_AGGREGATOR, os.getpid(), os.getppid())
        self.text = TEXT.format(threading.get_ident())
        Rows(block, self.number, FAMILIES).mine().begin("GET", "/slow")
        self.woken: list[int] = []

    def wake(self, master: int) -> None:
        self.woken.append(master)
        for slot in self.slots.taken():
            cell = self.block.layout.slot_cell(slot.number)
            if self.block.cells[cell + layout.S_STACK_WANTED_NS]:
                self.file.write(slot.number, self.text)
                self.block.cells[cell + layout.S_STACK_TAKEN_NS] = time.monotonic_ns()


@pytest.fixture
def scene(block: Block) -> Iterator[Scene]:
    file = StackFile()
    yield Scene(block, file)
    os.close(file.fd)


@pytest.fixture
def client(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> falcon.testing.TestClient:
    """Of the admin address."""
    here: Any = Here()
    here.parts = SimpleNamespace(block=scene.block, reader=SimpleNamespace(stacks=scene.last))
    monkeypatch.setattr(stacks, "wake_any", scene.wake)
    app = falcon.App()
    app.add_route(PATH, stacks.Stacks(here))
    return falcon.testing.TestClient(app)


def test_a_thread_is_shown_with_its_request(client: falcon.testing.TestClient, scene: Scene) -> None:
    """Of each worker, and of no companion."""
    answer = client.simulate_get(PATH)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    (process,) = answer.json["processes"]
    assert (process["pid"], process["slot"], process["kind"]) == (os.getpid(), scene.number, "worker")
    assert process["error"] is None
    assert 0 <= process["taken_age_seconds"] < 60
    (thread,) = process["threads"]
    assert 0 <= thread["request"].pop("age_seconds") < 60
    assert thread == {
        "thread": threading.get_ident(),
        "is_current": False,
        "request": {"method": "GET", "path": "/slow"},
        "frames": [{"file": "/srv/app.py", "line": 7, "function": "view"}],
    }
    assert scene.woken == [os.getpid()]
    assert client.simulate_get(PATH, params={"pid": os.getpid()}).json["processes"][0]["threads"]


@pytest.mark.parametrize("pid", [str(os.getppid()), "999999999"])
def test_a_pid_that_is_no_workers_is_not_found(client: falcon.testing.TestClient, scene: Scene, pid: str) -> None:
    """Nobody is woken for it."""
    answer = client.simulate_get(PATH, params={"pid": pid})
    assert (answer.status_code, scene.woken) == (404, [])
    assert f"{pid} is no worker" in answer.json["description"]


@pytest.mark.parametrize("pid", ["x", "0", "-1", "1.5", "99999999999"])
def test_what_is_no_pid_is_refused(client: falcon.testing.TestClient, pid: str) -> None:
    """With 400."""
    assert client.simulate_get(PATH, params={"pid": pid}).status_code == 400


def test_why_there_are_no_stacks_is_said(client: falcon.testing.TestClient, scene: Scene) -> None:
    """By the master."""
    scene.text = f"{TROUBLE}it has ended\n"
    (process,) = client.simulate_get(PATH).json["processes"]
    assert (process["error"], process["threads"], process["taken_age_seconds"]) == ("it has ended", [], None)


def test_a_master_that_takes_none_is_waited_for_a_while(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of before are shown then, with their age."""
    monkeypatch.setattr(stacks, "WAIT", 0.05)
    workers = [slot for slot in scene.slots.taken() if slot.kind == layout.KIND_WORKER]
    (process,) = ask(scene.block, scene.last, workers, lambda master: None)
    assert (process["threads"], process["taken_age_seconds"]) == ([], None)
    scene.wake(0)
    before = time.monotonic()
    (process,) = ask(scene.block, scene.last, workers, lambda master: None)
    assert 0.05 <= time.monotonic() - before < 20
    assert process["error"]
    assert "its master has not taken them within 0.05 s" in process["error"]
    assert process["threads"]
    assert process["taken_age_seconds"]


def test_a_request_that_began_since_is_not_that_of_the_stack(scene: Scene) -> None:
    """Its thread had another one then."""
    workers = [slot for slot in scene.slots.taken() if slot.kind == layout.KIND_WORKER]

    def wake(master: int) -> None:
        scene.wake(master)
        scene.block.cells[scene.block.layout.row_cell(scene.number, 0) + layout.R_BEGIN_NS] = (
            time.monotonic_ns() + 10**9
        )

    (process,) = ask(scene.block, scene.last, workers, wake)
    assert process["threads"][0]["request"] is None


def test_only_the_admin_address_has_it(block: Block) -> None:
    """There it waits in a thread that serves nobody else."""
    for admin in (False, True):
        assert (create_app(Here(), admin=admin)._router.find(PATH) is not None) is admin


def test_the_own_master_is_woken_by_a_packet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is no line of its log, and sends it SIGCHLD; another one gets the signal, if that is allowed."""
    log = CompanionLog()
    kills: list[tuple[int, int]] = []
    monkeypatch.setattr("hvd.web.stacks.os.kill", lambda *one: kills.append(one))
    monkeypatch.setattr("hvd.web.stacks.wake_master", lambda: os.write(log.companion_end.fileno(), WAKE))
    log.stop_waking()
    wake_any(os.getppid())
    assert log._master_end.recv(10) == WAKE
    assert kills == []
    wake_any(1)
    assert [pid for pid, _ in kills] == [1]
    log.companion_end.close()
    log.close()


def test_a_slot_that_changes_hands_has_the_stacks_of_another_process(scene: Scene) -> None:
    """Nobody waits for those of the one that has ended."""
    worker = scene.slots.get(scene.number)
    assert worker

    def replace_and_take(master: int) -> None:
        scene.slots.free(scene.number)
        assert scene.slots.claim(layout.KIND_WORKER, os.getpid(), os.getppid()) == scene.number
        scene.slots.want_stacks(scene.number)
        scene.wake(master)

    for wake in (replace_and_take, lambda _: scene.slots.free(scene.number)):
        begin = time.monotonic()
        (process,) = ask(scene.block, scene.last, [worker], wake)
        assert time.monotonic() - begin < stacks.WAIT / 2
        assert (process["error"], process["threads"]) == ("it has ended", [])
