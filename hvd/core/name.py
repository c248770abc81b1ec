"""The name of a block, which somebody may remove: `rm`, logind (RemoveIPC), a reader (multiprocessing.shared_memory).

A file without a name can't get one again (linkat(2): ENOENT). So a block has a second name, from which the first one is
restored. Where both are removed the daemon goes on, through an upgrade too: its descriptors are passed on.
"""

import contextlib
import os
from pathlib import Path


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
