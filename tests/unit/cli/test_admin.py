"""Where an admin server may listen, and whose sockets are not believed."""

import os
import socket
from pathlib import Path

import pytest

from hvd.cli.admin import admin_addresses, is_trusted
from hvd.settings.runtime_folder import ADMIN_SOCKET

ME = os.geteuid()
STRANGER = 12_345


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of runtime folders."""
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


def test_a_folder_that_others_may_write_is_not_believed(path: Path) -> None:
    """But where they can't replace what is another's, as in /tmp."""
    path.parent.chmod(0o777)
    assert admin_addresses("shop") == []
    path.parent.chmod(0o1777)
    assert len(admin_addresses("shop")) == 1


def test_links_and_what_is_not_there_are_not_followed(path: Path, tmp_path: Path) -> None:
    """A link may be replaced after it was looked at."""
    link = tmp_path / "link"
    link.symlink_to(path)
    assert not is_trusted(link, {ME})
    assert not is_trusted(tmp_path / "none", {ME})
    assert is_trusted(path, {ME})
