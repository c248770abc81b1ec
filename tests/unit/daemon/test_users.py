"""Whom companions run as, by gunicorn's settings."""

import os
import pwd
from types import SimpleNamespace

import pytest

from hvd.daemon.users import User

NOBODY = pwd.getpwnam("nobody")
MASTERS = {
    "PATH": "/bin", "LANG": "C", "HOME": "/root", "USER": "root", "LOGNAME": "root", "TMPDIR": "/root/tmp",
    "XDG_RUNTIME_DIR": "/run/user/0",
}  # fmt: skip


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The master is root."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "getegid", lambda: 0)


def config(uid: int, gid: int, initgroups: bool = False) -> SimpleNamespace:
    return SimpleNamespace(uid=uid, gid=gid, initgroups=initgroups)


def test_a_masters_own_user_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none is set; and where the master is no root, which can't change it."""
    assert User.of_workers(config(0, 0)) is None
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert User.of_workers(config(1001, 1001)) is None


def test_the_groups_are_as_gunicorn_sets_them() -> None:
    """With initgroups those of the user; else none, of root's not one; of a user without a name none either."""
    assert User.of_workers(config(NOBODY.pw_uid, 7)) == User(NOBODY.pw_uid, 7)
    groups = tuple(os.getgrouplist("nobody", 7))
    assert User.of_workers(config(NOBODY.pw_uid, 7, initgroups=True)) == User(NOBODY.pw_uid, 7, groups)
    assert User.of_workers(config(54321, 7, initgroups=True)) == User(54321, 7)
    assert User.of_workers(config(0, 7)) == User(0, 7)


def test_its_surroundings_are_its_own() -> None:
    """Home and name from the list of users; folders that the master's user has are not passed on, all else is."""
    mine = {"HOME": NOBODY.pw_dir, "USER": "nobody", "LOGNAME": "nobody"}
    assert User(NOBODY.pw_uid, 7).environ(MASTERS) == {"PATH": "/bin", "LANG": "C", **mine}
    assert User(54321, 7).environ(MASTERS) == {"PATH": "/bin", "LANG": "C", "HOME": "/"}
    assert User(0, 7).environ(MASTERS) == MASTERS
    assert (User(NOBODY.pw_uid, 7).name, User(54321, 7).name) == ("nobody", "54321")
