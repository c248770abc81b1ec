"""The runtime folder is this user's, and may be entered by its group."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hvd.daemon.admin import folder as module
from hvd.daemon.admin.folder import make_folder, remove_folder
from hvd.daemon.sockets import SocketAccess
from hvd.errors import CannotStart
from hvd.settings import runtime_folder


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_it_is_made_in_the_first_place_that_can_be_used(tmp_path: Path) -> None:
    """With mode 0750, as the folder above it where that isn't there either; whatever the umask says."""
    before = os.umask(0)
    try:
        folder = make_folder("shop", SocketAccess(), [tmp_path / "no" / "such", tmp_path / "run"])
    finally:
        os.umask(before)
    assert folder == tmp_path / "run" / "shop"
    assert (mode(folder), mode(folder.parent)) == (0o750, 0o750)
    assert make_folder("shop", SocketAccess(), [tmp_path / "run"]) == folder
    remove_folder(folder)
    assert not folder.exists()


def test_one_that_is_there_already_is_closed_to_others(tmp_path: Path) -> None:
    """Of the same user: a daemon that was killed has left it, or an operator made it."""
    (tmp_path / "shop").mkdir(mode=0o755)
    assert mode(make_folder("shop", SocketAccess(), [tmp_path])) == 0o750


def a_file(base: Path) -> None:
    base.write_text("")


def writable_by_others(base: Path) -> None:
    base.mkdir()
    base.chmod(0o1777)


def of_another_user(base: Path) -> None:
    base.mkdir(mode=0o755)
    os.chown(base, 65534, 65534)


def a_link_of_another_user(base: Path) -> None:
    target = base.with_name("target")
    target.mkdir(mode=0o700)
    base.symlink_to(target)
    os.chown(base, 65534, 65534, follow_symlinks=False)


def the_instance_s_is_a_link(base: Path) -> None:
    base.mkdir(mode=0o700)
    base.with_name("target").mkdir(mode=0o700)
    (base / "shop").symlink_to(base.with_name("target"))


@pytest.mark.parametrize(
    "make", [a_file, writable_by_others, of_another_user, a_link_of_another_user, the_instance_s_is_a_link]
)
def test_what_others_have_made_is_not_used(tmp_path: Path, make: object) -> None:
    """As /tmp/hvd-UID, which anybody can make first; nothing is put there, and nothing of it changed."""
    assert callable(make)
    if "another" in make.__name__ and os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    base = tmp_path / "run"
    make(base)
    before = os.lstat(base)
    with pytest.raises(CannotStart, match=f"there is no runtime folder .{base}: "):
        make_folder("shop", SocketAccess(), [base])
    after = os.lstat(base)
    assert (after.st_mode, after.st_uid, after.st_mtime_ns) == (before.st_mode, before.st_uid, before.st_mtime_ns)
    assert not list((tmp_path / "target").glob("*")) if (tmp_path / "target").exists() else True


@pytest.mark.parametrize("instance", [".", ".."])
def test_a_name_that_leads_elsewhere_is_no_folder(tmp_path: Path, instance: str) -> None:
    """The mode of the folder above would be changed: /run's, for everybody."""
    base = tmp_path / "run"
    base.mkdir(mode=0o755)
    with pytest.raises(CannotStart, match="no folder of its own"):
        make_folder(instance, SocketAccess(), [base])
    assert (mode(base), mode(tmp_path)) == (0o755, 0o700)


def test_a_socket_has_to_fit_in(tmp_path: Path) -> None:
    """Its path has 107 bytes at most; the next folder may be shorter. Each reason is told."""
    long = tmp_path / ("x" * 100)
    with pytest.raises(CannotStart, match=r"longer than 107 bytes; .*/such/run: No such file"):
        make_folder("shop", SocketAccess(), [long, tmp_path / "no" / "such" / "run"])
    short = Path(f"/tmp/hvd-test-{os.getpid()}")
    assert make_folder("s", SocketAccess(), [long, short]).parent == short
    remove_folder(short / "s")
    assert not short.exists()


def test_a_folder_with_something_in_it_stays(tmp_path: Path) -> None:
    """It is somebody's."""
    (tmp_path / "x").write_text("")
    remove_folder(tmp_path)
    assert tmp_path.exists()


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder in whose folders a socket's path has room."""
    with tempfile.TemporaryDirectory(prefix="hvd-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_where_others_have_made_all_folders_another_one_is_found(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By commands too, and by the next start; it goes with the daemon."""
    monkeypatch.setattr(runtime_folder, "LAST_RESORT", short)
    taken = short / f".hvd-{os.geteuid()}"
    taken.mkdir()
    os.chown(taken, 12345, 12345)
    only = [base for base in runtime_folder.candidates() if base.parent == short]
    assert only == [taken]
    monkeypatch.setattr(module, "candidates", lambda: only)
    folder = make_folder("shop", SocketAccess())
    assert folder.parent.name.startswith(f"{taken.name}+")
    assert (mode(folder), mode(folder.parent)) == (0o750, 0o750)
    assert [base for base in runtime_folder.candidates() if base.parent == short] == [taken, folder.parent]
    remove_folder(folder)
    assert os.listdir(short) == [taken.name]
