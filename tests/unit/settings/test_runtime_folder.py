"""Where a daemon's runtime folder may be."""

import os
from pathlib import Path

import pytest

from hvd.settings.runtime_folder import candidates

SHARED = Path("/dev/shm")


def test_folders_of_a_service_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then those of the user's session; each is named once."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    environ = {"RUNTIME_DIRECTORY": "/run/shop:/run/other", "XDG_RUNTIME_DIR": "/run/user/1000", "TMPDIR": "/t"}
    assert list(candidates(environ)) == [
        Path("/run/shop"),
        Path("/run/user/1000/hvd"),
        Path("/t/hvd-1000"),
        SHARED / ".hvd-1000",
    ]


def test_root_has_the_system_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """And without any variable there are folders all the same."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert list(candidates({})) == [Path("/run/hvd"), Path("/run/user/0/hvd"), Path("/tmp/hvd-0"), SHARED / ".hvd-0"]


def test_root_may_ask_for_the_folders_of_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose daemons it looks at."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert list(candidates({}, 1000)) == [
        Path("/run/hvd"),
        Path("/run/user/1000/hvd"),
        Path("/tmp/hvd-1000"),
        SHARED / ".hvd-1000",
    ]
