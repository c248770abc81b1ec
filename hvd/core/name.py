"""The name of a block, which somebody may remove: `rm`, logind (RemoveIPC), a reader (multiprocessing.shared_memory).

A file without a name can't get one again (linkat(2): ENOENT). So a block has a second name, from which the first one is
restored. Where both are removed the daemon goes on, through an upgrade too: its descriptors are passed on.
"""

import contextlib
import os
import secrets
from pathlib import Path

EVASIVE = "+"
"""A character that no instance's name has either. Behind it is what nobody can guess: /dev/shm is everybody's, so
another user may have made a file of the name that a block would have, and only that user, or root, can remove it."""


def evasive_names(directory: Path, name: str, user: int | None = None) -> list[str]:
    """Names that files of `user` (by default this process's) have in place of `name`."""
    stem, user = f"{name}{EVASIVE}", os.geteuid() if user is None else user
    try:
        names = sorted(os.listdir(directory))
    except OSError:  # a folder that can't be listed counts as empty: a new name is made
        return []
    candidates = (name for name in names if name.startswith(stem) and not name.endswith("~"))
    return [name for name in candidates if _owner_of(directory / name) == user]


def usable_name(directory: Path, name: str) -> str:
    """`name`, unless another user has it: then the evasive name of this user's block, or a new one."""
    owner = _owner_of(directory / name)
    if owner == os.geteuid():
        return name
    if others := evasive_names(directory, name):
        return others[0]
    return name if owner is None else new_name(name)


def new_name(name: str) -> str:
    """One instead of that name which nobody can have guessed."""
    return f"{name}{EVASIVE}{secrets.token_hex(8)}"


def plain_name(name: str) -> str:
    """The name that a block was meant to have."""
    return name.partition(EVASIVE)[0]


def _owner_of(path: Path) -> int | None:
    try:
        return path.lstat().st_uid
    except FileNotFoundError:
        return None


class Name:
    """The two names of the file behind a descriptor. Any process may read them; only masters change them."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.spare = path.with_name(f"{path.name}~")  # a character that no instance's name has
        self._fd = fd

    def holds(self) -> bool:
        """True while the name is that of the file."""
        return self._is_of(self.path)

    def restore(self) -> bool:
        """Give the file its name again -> whether it has it now."""
        with contextlib.suppress(OSError):
            if self._is_of(self.spare):
                os.link(self.spare, self.path, follow_symlinks=False)
        return self.holds()

    def keep_spare(self) -> None:
        """Make the second name, which `restore` needs; one that an earlier daemon left there is removed."""
        with contextlib.suppress(OSError):
            if self.holds() and not self._is_of(self.spare):
                self.spare.unlink(missing_ok=True)
                os.link(self.path, self.spare, follow_symlinks=False)

    def drop_spare(self) -> None:
        """Remove the second name, once no master lives to use it: then to remove the first one frees the memory."""
        with contextlib.suppress(OSError):
            if self._is_of(self.spare):
                self.spare.unlink()

    def remove(self) -> None:
        """Remove both, unless another file has them by now."""
        self.drop_spare()
        if self._is_of(self.path):
            self.path.unlink(missing_ok=True)

    def _is_of(self, path: Path) -> bool:
        try:
            return os.path.samestat(path.lstat(), os.fstat(self._fd))
        except FileNotFoundError:
            return False
