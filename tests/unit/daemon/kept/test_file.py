"""The file of totals in the file system: ours alone, whole or not at all."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from hvd.daemon.kept.file import MOST, read_own, set_aside, write_whole
from hvd.errors import TotalsUnusable
from tests.unit.core.support import ended, fork, kill


def test_it_is_written_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    """Its folder is made where it isn't there; what a killed writer has left goes; nobody's else is touched."""
    path = tmp_path / "state" / "totals-x"
    write_whole(path, b"one")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    left, other = path.with_name("totals-x.new-1"), path.with_name("totals-y.new-1")
    left.touch()
    other.touch()
    write_whole(path, b"two")
    assert read_own(path) == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(path.parent.iterdir()) == [path, other]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it ends in an error, and where it is killed before it is done."""
    path = tmp_path / "totals-x"
    write_whole(path, b"one")

    def die(source: object, target: object) -> None:
        kill()

    def write_and_die() -> None:
        monkeypatch.setattr(Path, "replace", die)
        write_whole(path, b"two")

    assert ended(fork(write_and_die)) != 0
    assert read_own(path) == b"one"
    path.unlink()
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(path, b"three")
    assert list(tmp_path.iterdir()) == [path]


FAULTS: dict[str, Callable[[Path], object]] = {
    "symbolic link": lambda path: path.symlink_to("/etc/passwd"),
    "no regular file": lambda path: os.mkfifo(path, 0o600),
    "mode 622": lambda path: (path.touch(), path.chmod(0o622)),
    "uid 65534": lambda path: (path.touch(0o600), os.chown(path, 65534, -1)),
    f"{MOST + 1} bytes": lambda path: (path.touch(0o600), os.truncate(path, MOST + 1)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_may_be_anybodys_is_refused_and_set_aside(fault: str, tmp_path: Path) -> None:
    """At once, whatever it is. The newest two that were set aside stay."""
    path = tmp_path / "totals-x"
    with pytest.raises(FileNotFoundError):
        read_own(path)
    if "uid" in fault and os.geteuid():
        pytest.skip("only root gives files away")
    kept = []
    for _ in range(4):
        FAULTS[fault](path)
        with pytest.raises(TotalsUnusable, match=fault):
            read_own(path)
        kept.append(set_aside(path))
        assert not os.path.lexists(path)
    kept = [aside for aside in kept if os.path.lexists(aside)]
    assert sorted(tmp_path.iterdir()) == kept
    assert len(kept) == 2
