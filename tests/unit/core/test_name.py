"""A block's name: removed by others, restored, and removed for good."""

import os
from pathlib import Path

from hvd.core.block import Block
from hvd.core.name import evasive_names, new_name, plain_name, usable_name


def test_a_name_that_was_removed_is_restored(block: Block) -> None:
    """As long as the second one is there: the same file, for whoever opens it."""
    name = block.file_name
    assert name.holds()
    name.path.unlink()
    assert not name.holds()
    assert name.restore()
    assert name.holds()
    assert name.path.stat().st_ino == os.fstat(block.fd).st_ino


def test_without_any_name_nothing_can_be_restored(block: Block) -> None:
    """That is told, and no error."""
    block.file_name.path.unlink()
    block.file_name.spare.unlink()
    assert not block.file_name.restore()


def test_another_file_of_that_name_is_left_alone(block: Block) -> None:
    """It is not taken for ours, replaced or removed."""
    name = block.file_name
    name.path.unlink()
    name.path.write_bytes(b"another")
    assert not name.holds()
    assert not name.restore()
    name.remove()
    assert name.path.read_bytes() == b"another"
    assert not name.spare.exists()


def test_a_second_name_of_a_daemon_before_is_replaced(block: Block) -> None:
    """It would give the name to the wrong block."""
    name = block.file_name
    name.spare.unlink()
    name.spare.write_bytes(b"of another block")
    name.keep_spare()
    assert name.spare.samefile(name.path)


def test_the_second_name_is_dropped_and_made_again(block: Block) -> None:
    """By processes whose master was killed, and by the next master."""
    name = block.file_name
    for _ in range(2):
        name.drop_spare()
    assert name.holds()
    assert not name.spare.exists()
    name.keep_spare()
    assert name.spare.samefile(name.path)


def test_both_names_end_with_the_block(block: Block) -> None:
    """And to remove them twice is no error."""
    block.file_name.remove()
    block.file_name.remove()
    assert not block.path.exists()
    assert not block.file_name.spare.exists()


def test_an_evasive_name_is_looked_for_by_its_owner(tmp_path: Path) -> None:
    """Among files that begin so; where nobody may look there is none, and no two new ones are the same."""
    for name in ("hvd-x", "hvd-x+1", "hvd-x+1~", "hvd-x+2", "hvd-xy+1"):
        (tmp_path / name).touch()
    assert evasive_names(tmp_path, "hvd-x") == ["hvd-x+1", "hvd-x+2"]
    assert evasive_names(tmp_path, "hvd-x", os.geteuid() + 1) == []
    assert evasive_names(tmp_path / "no-such-folder", "hvd-x") == []
    assert usable_name(tmp_path, "hvd-x") == plain_name("hvd-x+1") == "hvd-x"
    assert usable_name(tmp_path, "hvd-z") == "hvd-z"
    assert new_name("hvd-x") != new_name("hvd-x")
