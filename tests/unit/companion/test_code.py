"""What a process passes on of its code; that it comes from an archive: tests/unit/daemon/test_code.py."""

import sys

import pytest

from hvd.companion.code import DESCRIPTOR, inherited_fds


def test_a_process_with_the_code_of_the_disk_has_nothing_to_pass_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """So is this one; another one has the descriptor of the archive."""
    assert inherited_fds() == []
    monkeypatch.setattr(sys, "path", [DESCRIPTOR.format(17), *sys.path])
    assert inherited_fds() == [17]
