"""Routes that operators declare."""

from pathlib import Path

import pytest

from hvd.errors import SettingsError
from hvd.settings.loader import load


def test_they_keep_their_order(tmp_path: Path) -> None:
    """The first that matches counts."""
    file = tmp_path / "hvd.toml"
    file.write_text("[routes]\n'/z/{id}' = '/z/\\d+'\n\"/a\" = '/a.*'\n")
    assert list(load({"HVD_CONFIG": str(file)}).settings.routes.items()) == [("/z/{id}", r"/z/\d+"), ("/a", "/a.*")]


def test_each_fault_is_told_with_its_line(tmp_path: Path) -> None:
    """Key, value, line, and what would be right."""
    file = tmp_path / "hvd.toml"
    file.write_text("[routes]\n\"/a\" = '('\n\"/b\" = 7\nitems = '/items'\n\"/c\" = ''\n")
    with pytest.raises(SettingsError) as caught:
        load({"HVD_CONFIG": str(file)})
    assert list(caught.value.problems) == [
        f'routes."/a" ({file}:2) is "(": it must be a regular expression of paths '
        "(missing ), unterminated subpattern at position 0)",
        f'routes."/b" ({file}:3) is 7: it must be a regular expression of paths',
        f"routes.items ({file}:4) is no template of a route: it must be / and at most 199 printable ASCII characters, "
        "no blanks",
        f'routes."/c" ({file}:5) is "": it must be a regular expression of paths',
    ]


def test_they_are_a_table(tmp_path: Path) -> None:
    """And the name is known."""
    file = tmp_path / "hvd.toml"
    file.write_text("routes = 3\n")
    with pytest.raises(SettingsError) as caught:
        load({"HVD_CONFIG": str(file)})
    assert list(caught.value.problems) == [f"routes ({file}:1) is no table: write [routes] above its keys"]
