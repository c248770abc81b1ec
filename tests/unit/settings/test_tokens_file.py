"""The file of tokens on the disk: whole or not at all, for its owner alone, and one change after the other."""

import fcntl
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hvd.errors import SettingsError
from hvd.settings import tokens_file
from hvd.settings.tokens import Scope, Token, digest_of
from hvd.settings.tokens_file import add_token, read_tokens, remove_token


def token(name: str) -> Token:
    return Token(name, Scope.JOBS, digest_of(name), "2026-01-23T20:30:00Z")


def test_what_is_added_is_there_until_it_is_removed(tmp_path: Path) -> None:
    """In a folder that is made, with mode 0600; comments of people's stay; nothing lies beside it."""
    path = tmp_path / "var" / "tokens"
    assert read_tokens(path) is None
    add_token(path, token("a"))
    with path.open("a") as file:
        file.write("# the next one is of the pipeline")
    add_token(path, token("b"))
    assert read_tokens(path) == (token("a"), token("b"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    remove_token(path, "a")
    assert read_tokens(path) == (token("b"),)
    assert "of the pipeline\n" in path.read_text()
    remove_token(path, "b")
    assert read_tokens(path) == ()
    assert [entry.name for entry in path.parent.iterdir()] == ["tokens"]


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    """A name that is taken, one that nobody has, a file that is none, a folder that is none."""
    path = tmp_path / "tokens"
    add_token(path, token("a"))
    before = path.read_text()
    with pytest.raises(SettingsError, match="a has a token already"):
        add_token(path, token("a"))
    with pytest.raises(SettingsError, match='no token has the name "b"; there are: a'):
        remove_token(path, "b")
    assert path.read_text() == before
    with pytest.raises(SettingsError, match=r"can't be changed: (Not a directory|File exists)"):
        add_token(path / "tokens", token("a"))
    path.write_text("no tokens at all")
    with pytest.raises(SettingsError, match="can't be read: line 1 is no token"):
        add_token(path, token("b"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["tokens"]


def test_a_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    """Whoever adds a line lets himself in; to read it does no harm."""
    path = tmp_path / "tokens"
    add_token(path, token("a"))
    path.chmod(0o644)
    assert read_tokens(path) == (token("a"),)
    for mode in (0o620, 0o602):
        path.chmod(mode)
        with pytest.raises(SettingsError, match="others may write in it"):
            read_tokens(path)


def test_changes_at_once_are_all_made(tmp_path: Path) -> None:
    """Each sees what those before it have written."""
    names = [f"t{number}" for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: add_token(tmp_path / "tokens", token(name)), names))
    assert sorted(one.name for one in read_tokens(tmp_path / "tokens")) == sorted(names)


def test_a_change_waits_for_another_one_for_a_while_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that stands still must not keep it for ever."""
    monkeypatch.setattr(tokens_file, "LOCK_WAIT", 0.05)
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        with pytest.raises(SettingsError, match="can't be changed"):
            add_token(tmp_path / "tokens", token("a"))
    finally:
        os.close(fd)


def test_root_leaves_the_file_to_the_folders_owner(tmp_path: Path) -> None:
    """The daemon is another user, and has to read it."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(tmp_path, 65534, 65534)
    add_token(tmp_path / "tokens", token("a"))
    assert (tmp_path / "tokens").stat().st_uid == 65534


def test_a_link_stays_one(tmp_path: Path) -> None:
    """What it leads to is replaced."""
    (tmp_path / "real").mkdir()
    (tmp_path / "tokens").symlink_to(tmp_path / "real" / "tokens")
    add_token(tmp_path / "tokens", token("a"))
    assert (tmp_path / "tokens").is_symlink()
    assert read_tokens(tmp_path / "real" / "tokens") == (token("a"),)
