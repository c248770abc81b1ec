"""Where the admin server listens, and whose files belong to that."""

import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hvd.core.block import Block
from hvd.daemon.admin import address as module
from hvd.daemon.admin.address import VARIABLE, AdminAddress, free_page_address
from hvd.daemon.admin.folder import make_folder
from hvd.daemon.sockets import SocketAccess
from hvd.errors import CannotStart
from hvd.settings.admin_record import AdminRecord, read_record
from hvd.settings.loader import load
from tests.unit.core.support import standing


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which runtime folders are made."""
    base = tmp_path / "run"
    monkeypatch.setattr(module, "make_folder", lambda instance, access: make_folder(instance, access, [base]))
    return base


class Scene:
    """Addresses of masters, each of this process."""

    def __init__(self, block: Block) -> None:
        self.block, self.access = block, SocketAccess()
        self.all: list[AdminAddress] = []

    def make(self, bind: str = "", **more: bool) -> AdminAddress:
        settings = replace(load({"HVD_INSTANCE": "shop"}).settings, admin_bind=bind)
        self.all.append(AdminAddress(settings, self.access, self.block, logging.getLogger("test"), **more))
        return self.all[-1]

    def open(self, bind: str = "", environ: dict[str, str] | None = None) -> AdminAddress:
        made = self.make(bind)
        made.open({} if environ is None else environ)
        return made


@pytest.fixture
def scene(block: Block, base: Path) -> Iterator[Scene]:
    scene = Scene(block)
    yield scene
    for one in scene.all:
        one.close()


def never() -> None:
    raise AssertionError("no admin server is to be replaced")


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def test_by_default_it_is_a_socket_for_this_user_and_its_group(scene: Scene, base: Path) -> None:
    """In the runtime folder; a record beside it says where, from the first turn of the master's loop on."""
    one = scene.open()
    path = base / "shop" / "admin.sock"
    assert one.address == f"unix:{path}"
    assert path.stat().st_mode & 0o777 == 0o660
    assert connects(path)
    one.keep(never)
    record = read_record(base / "shop")
    assert record
    assert (record.address, record.pid, record.instance, record.is_stale) == (one.address, os.getpid(), "shop", False)
    one.leave(is_last=True)
    assert not path.parent.exists()
    assert not base.exists(), "nor the folder of all instances, with the last of them"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_it_may_be_any_address(scene: Scene, base: Path, host: str) -> None:
    """The record has the port that it really has."""
    one = scene.open(f"{host}:0")
    assert one.listener
    assert one.address == f"{host}:{one.listener.getsockname()[1]}"
    one.keep(never)
    record = read_record(base / "shop")
    assert record
    assert record.address == one.address
    one.leave(is_last=True)
    assert not (base / "shop").exists()


def test_a_path_that_is_set_has_the_mode_and_group_that_are_set(scene: Scene, tmp_path: Path) -> None:
    """Whatever the umask says, which stays."""
    scene.access = SocketAccess(0o600, 4711 if os.geteuid() == 0 else os.getegid())
    before = os.umask(0o007)
    try:
        scene.open(f"unix:{tmp_path}/sock")
        assert os.umask(0o007) == 0o007
    finally:
        os.umask(before)
    status = (tmp_path / "sock").stat()
    assert (status.st_mode & 0o777, status.st_gid) == (0o600, scene.access.gid)


@pytest.mark.parametrize("taken", ["a port", "a socket", "no socket", "no folder", "another machine's"])
def test_an_address_that_can_not_be_had_ends_the_start(scene: Scene, tmp_path: Path, base: Path, taken: str) -> None:
    """In one line, which names the setting and its value; what is there stays."""
    path = tmp_path / "sock"
    with socket.create_server(("127.0.0.1", 0)) as port, socket.socket(socket.AF_UNIX) as other:
        if taken == "a socket":
            other.bind(str(path))
            other.listen()
        elif taken == "no socket":
            path.write_text("mine")
        bind = {
            "a port": f"127.0.0.1:{port.getsockname()[1]}",
            "no folder": f"unix:{tmp_path}/no/such/sock",
            "another machine's": "203.0.113.7:1",
        }.get(taken, f"unix:{path}")
        with pytest.raises(CannotStart, match=f"^admin_bind is {bind.split('[')[0]}, ") as refused:
            scene.open(bind)
        assert "\n" not in str(refused.value)
        scene.all[-1].leave(is_last=True)
        assert not (base / "shop").exists()
        assert taken != "a socket" or connects(path)
        assert taken != "no socket" or path.read_text() == "mine"


def test_a_daemon_starts_without_a_folder_for_it(scene: Scene, base: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With a warning that names the remedy."""
    base.write_text("in the way")
    one = scene.open()
    assert one.listener is None
    (line,) = caplog.messages
    assert "no admin server" in line
    assert "HVD_ADMIN_BIND" in line
    one.keep(never)
    one.close()
    one.pass_on(environ := {})
    one.leave(is_last=True)
    assert environ == {}


def test_a_socket_that_a_killed_daemon_left_is_replaced(scene: Scene, base: Path) -> None:
    """And the record of that daemon with it."""
    folder = make_folder("shop", SocketAccess(), [base])
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(folder / "admin.sock"))
    left.close()
    AdminRecord("shop", "unix:/x", "127.0.0.1:1", 2**22 + 1, 1, "0.1.0").write(folder)
    one = scene.open()
    assert connects(folder / "admin.sock")
    one.keep(never)
    record = read_record(folder)
    assert record
    assert record.pid == os.getpid()


@pytest.mark.parametrize("lost", ["socket", "folder", "record"])
def test_what_somebody_removes_is_made_again(
    scene: Scene, base: Path, lost: str, caplog: pytest.LogCaptureFixture
) -> None:
    """At the same number, which the next admin server inherits; logind removes a user's whole folder at the logout."""
    one = scene.open()
    assert one.listener
    fd = one.listener.fileno()
    one.keep(never)
    folder, replaced = base / "shop", list[int]()
    for name in {"socket": ["admin.sock"], "record": ["admin.json"]}.get(lost, os.listdir(folder)):
        (folder / name).unlink()
    if lost == "folder":
        folder.rmdir()
    one.keep(lambda: replaced.append(1))
    assert (replaced, one.listener.fileno()) == ([] if lost == "record" else [1], fd)
    assert connects(folder / "admin.sock")
    assert read_record(folder)
    assert len(caplog.records) == len(replaced)
    one.keep(never)
    one.leave(is_last=True)
    assert not folder.exists()


def test_another_s_socket_in_its_place_is_left_alone(
    scene: Scene, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once; at the end it is still there."""
    path = tmp_path / "sock"
    one = scene.open(f"unix:{path}")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        one.keep(never)
        one.keep(never)
        (line,) = caplog.messages
        assert "another server listens" in line
        one.leave(is_last=True)
        assert connects(path)


def test_a_new_master_inherits_it(scene: Scene, base: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The same socket, whatever the setting says by then; whoever leaves last removes the files."""
    old, environ = scene.open(), dict[str, str]()
    old.pass_on(environ)
    assert not VARIABLE.startswith("HVD_"), "it would be a setting, and a wrong one"
    assert old.listener
    assert os.get_inheritable(old.listener.fileno())
    pid, fd, rest = environ[VARIABLE].split(":", 2)
    environ[VARIABLE] = f"{pid}:{os.dup(int(fd))}:{rest}"
    new = scene.open("127.0.0.1:1", environ)
    assert environ == {}
    assert (new.address, new._is_mine()) == (old.address, True)
    assert new.listener
    assert not os.get_inheritable(new.listener.fileno())
    assert "stays" in caplog.text
    old.leave(is_last=False)
    assert connects(base / "shop" / "admin.sock")
    new.leave(is_last=True)
    assert not (base / "shop").exists()


def test_what_was_meant_for_another_process_is_not_taken(scene: Scene) -> None:
    """The environment goes on to children, the descriptors don't."""
    one = scene.open(environ={VARIABLE: "1:3:4:5:unix:/x"})
    assert one.address.endswith("/shop/admin.sock")


def test_the_older_of_two_masters_leaves_the_files_to_the_newer(scene: Scene, base: Path) -> None:
    """Until that is gone."""
    one = scene.open()
    path = base / "shop" / "admin.sock"
    scene.block.add_master(os.getpid())
    with standing(lambda: None) as newer:
        scene.block.add_master(newer)
        path.unlink()
        one.keep(never)
        assert not path.exists()
        assert read_record(base / "shop") is None
        scene.block.drop_master(newer)
    replaced: list[Any] = []
    one.keep(lambda: replaced.append(1))
    assert (replaced, path.exists()) == ([1], True)


def test_the_record_of_a_set_address_has_its_folder_made_again(scene: Scene, base: Path) -> None:
    """logind removes a user's whole folder at the logout."""
    one = scene.open(f"unix:{base}/elsewhere.sock")
    for _ in range(2):
        one.keep(never)
        assert read_record(base / "shop")
        (base / "shop" / "admin.json").unlink()
        (base / "shop").rmdir()
        one.keep(never)
    one.leave(is_last=True)


def test_a_page_has_the_first_address_at_which_nobody_listens() -> None:
    """Whatever runs here already."""
    first = free_page_address()
    with socket.create_server(("127.0.0.1", int(first.rpartition(":")[2]))):
        assert free_page_address() not in ("", first)


def test_of_services_that_start_at_once_each_has_a_page_of_its_own(scene: Scene, base: Path) -> None:
    """Both have chosen the first free address; one that was set is refused to the second."""
    chosen = free_page_address()
    first, second = scene.make(chosen, is_chosen=True), scene.make(chosen, is_chosen=True)
    for address in (first, second):
        address.open({})
        assert address.served == address.address
    assert first.address == chosen != second.address
    with pytest.raises(CannotStart, match="can't be used: Address already in use"):
        scene.make(chosen).open({})
