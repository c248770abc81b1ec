"""Whom companions run as: the user of the workers, which gunicorn's settings `user` and `group` name."""

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ROOTS = ("TMPDIR", "TEMP", "TMP", "XDG_RUNTIME_DIR", "MAIL")
"""Variables that name folders and files of the master's user."""


@dataclass(frozen=True)
class User:
    """User, group and further groups of a process."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()

    @classmethod
    def of_workers(cls, config: Any) -> "User | None":
        """The user that gunicorn's settings `user`, `group` and `initgroups` give workers; None: that of the master.

        Only root may change its user. Without `initgroups` a worker keeps the further groups of root; a companion,
        whose programs are many and other people's, has none then.
        """
        if os.geteuid() != 0 or (config.uid, config.gid) == (0, os.getegid()):
            return None
        groups: list[int] = []
        if config.initgroups and (entry := _entry(config.uid)):
            groups = os.getgrouplist(entry.pw_name, config.gid)
        return cls(config.uid, config.gid, tuple(groups))

    @property
    def name(self) -> str:
        """The user's name, or its number where it has none."""
        entry = _entry(self.uid)
        return entry.pw_name if entry else str(self.uid)

    def environ(self, masters: Mapping[str, str]) -> dict[str, str]:
        """The master's environment, changed for this user: with its own home, and no folder of the master's user."""
        if self.uid == os.geteuid():  # only the group is another
            return dict(masters)
        entry = _entry(self.uid)
        environ = {name: text for name, text in masters.items() if name not in _ROOTS}
        for name in ("USER", "LOGNAME"):
            environ.pop(name, None)
            if entry:
                environ[name] = entry.pw_name
        environ["HOME"] = entry.pw_dir if entry else "/"
        return environ


def _entry(uid: int) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        return None
