"""The name of a block, which somebody may remove: `rm`, logind (RemoveIPC), a reader (multiprocessing.shared_memory).

A file that has lost its last name can't be given one again (linkat(2): ENOENT). So a block has a second name, from
which the first one is restored; where both are gone the daemon goes on, and through an upgrade too (passing.py).
"""

import contextlib
import os
from pathlib import Path


class Name:
    """The two names of the file behind a descriptor. Any process may ask; only masters change them."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.spare = path.with_name(f"{path.name}~")  # a character that no instance's name has
        self._fd = fd

    def holds(self) -> bool:
        """True while the file is found by its name."""
        return self._is_of(self.path)

    def restore(self) -> bool:
        """Give the file its name again -> whether it has it now."""
        with contextlib.suppress(OSError):
            if self._is_of(self.spare):
                os.link(self.spare, self.path, follow_symlinks=False)
        return self.holds()

    def keep_spare(self) -> None:
        """Have the second name; what a daemon before left there goes. Without it all works, but `restore`."""
        with contextlib.suppress(OSError):
            if self.holds() and not self._is_of(self.spare):
                self.spare.unlink(missing_ok=True)
                os.link(self.path, self.spare, follow_symlinks=False)

    def drop_spare(self) -> None:
        """No master lives that could use it: let the block be gone once somebody removes the one name it has."""
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
