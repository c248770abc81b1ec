"""Where an admin server may listen, and whose sockets are not believed."""

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from hvd.cli.admin import admin_addresses, is_trusted, service_addresses
from hvd.core.proc import start_ticks
from hvd.settings.admin_record import RECORD, AdminRecord
from hvd.settings.runtime_folder import ADMIN_SOCKET

ME = os.geteuid()
STRANGER = 12_345


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of runtime folders."""
    tmp_path.chmod(0o1777)  # as /tmp
    monkeypatch.setattr("hvd.cli.admin.candidates", lambda user: iter([tmp_path / "hvd"]))
    (tmp_path / "hvd" / "shop").mkdir(parents=True, mode=0o755)
    return tmp_path / "hvd"


@pytest.fixture
def path(folder: Path) -> Path:
    """The socket of the instance `shop`, at which nobody listens any more."""
    path = folder / "shop" / ADMIN_SOCKET
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    return path


def test_a_socket_of_one_s_own_is_found(path: Path) -> None:
    """Whether anybody listens is seen by whoever asks there."""
    assert [address.url for address in admin_addresses("shop")] == [f"unix:{path}"]
    assert admin_addresses("other") == []


@pytest.mark.parametrize("part", ["socket", "folder", "base"])
@pytest.mark.skipif(ME != 0, reason="only root can give files away")
def test_what_another_user_made_is_not_believed(path: Path, part: str) -> None:
    """The socket, or a folder on the way to it; unless that user's daemon is the one that is looked at."""
    os.chown({"socket": path, "folder": path.parent, "base": path.parent.parent}[part], STRANGER, -1)
    assert admin_addresses("shop") == []
    assert [address.url for address in admin_addresses("shop", STRANGER)] == [f"unix:{path}"]


@pytest.mark.skipif(ME != 0, reason="only root can give files away")
def test_a_folder_that_root_has_given_to_a_service_is_believed(path: Path) -> None:
    """As systemd makes /run/hvd: nobody else could have put it there. What others put into it is not believed."""
    base = path.parent.parent
    base.parent.chmod(0o755)
    for part in (base, path.parent, path):
        os.chown(part, STRANGER, -1)
    assert [address.url for address in admin_addresses("shop")] == [f"unix:{path}"]
    os.chown(path, STRANGER + 1, -1)
    assert admin_addresses("shop") == []


def test_a_folder_that_others_may_write_is_not_believed(path: Path) -> None:
    """But where they can't replace what is another's, as in /tmp."""
    path.parent.chmod(0o777)
    assert admin_addresses("shop") == []
    path.parent.chmod(0o1777)
    assert len(admin_addresses("shop")) == 1


def test_links_and_what_is_not_there_are_not_followed(path: Path, tmp_path: Path) -> None:
    """A link may be replaced after it was looked at; root's, which systemd makes for DynamicUser=, is no danger."""
    link = tmp_path / "link"
    link.symlink_to(path)
    assert is_trusted(link, {ME}) == (ME == 0)
    if ME == 0:
        os.chown(link, STRANGER, -1, follow_symlinks=False)
        assert not is_trusted(link, {ME, STRANGER})
    assert not is_trusted(tmp_path / "none", {ME})
    assert is_trusted(path, {ME})


OURS = AdminRecord("shop", "127.0.0.1:9100", "0.0.0.0:8080", os.getpid(), start_ticks(os.getpid()), "0.1.0")


def test_what_the_master_has_noted_comes_first(path: Path) -> None:
    """Its own address, and that of the service."""
    OURS.write(path.parent)
    assert [address.url for address in admin_addresses("shop")] == ["http://127.0.0.1:9100", f"unix:{path}"]
    assert [address.url for address in service_addresses("shop")] == ["http://127.0.0.1:8080"]
    replace(OURS, address=f"unix:{path}", bind="127.0.0.1:0").write(path.parent)
    assert [address.url for address in admin_addresses("shop")] == [f"unix:{path}"]
    assert service_addresses("shop") == []


def test_notes_of_a_dead_master_are_not_read(path: Path) -> None:
    """Nor those of another user."""
    replace(OURS, started=1).write(path.parent)
    assert [address.url for address in admin_addresses("shop")] == [f"unix:{path}"]
    assert service_addresses("shop") == []
    OURS.write(path.parent)
    if ME == 0:
        os.chown(path.parent / RECORD, STRANGER, -1)
        assert service_addresses("shop") == []
