"""Files that are replaced whole, or not at all."""

import os
from pathlib import Path

import pytest

from hvd.core.files import replace_file


def test_a_file_is_replaced_with_its_mode(tmp_path: Path) -> None:
    """And nothing is left beside it; nor is a link followed that stands in its place."""
    path, other = tmp_path / "file", tmp_path / "other"
    other.write_text("other")
    path.symlink_to(other)
    replace_file(path, "new", mode=0o640)
    assert (path.read_text(), other.read_text(), path.is_symlink()) == ("new", "other", False)
    assert path.stat().st_mode & 0o777 == 0o640
    replace_file(path, "newer", is_lasting=False)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("newer", 0o600)
    assert sorted(tmp_path.iterdir()) == [path, other]


def test_one_that_can_not_be_written_stays_as_it_was(tmp_path: Path) -> None:
    """Whatever fails."""
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        replace_file(path, "\ud800")
    assert ([*tmp_path.iterdir()], path.read_text()) == ([path], "old")
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(IsADirectoryError):
        replace_file(folder, "new")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
