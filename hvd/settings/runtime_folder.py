"""The runtime folder of an instance: what lives as long as the daemon does, and is no memory, is in it.

A daemon and the commands that look for it may have another environment: a service has no XDG_RUNTIME_DIR, a shell no
RUNTIME_DIRECTORY. So a daemon takes the first of these folders that it can use, and the commands look into all of them.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from hvd.core.name import evasive_names, new_name
from hvd.settings.variables import environment

ADMIN_SOCKET = "admin.sock"
"""The file in an instance's folder at which its admin server listens, unless admin_bind names another address."""


LAST_RESORT = Path("/dev/shm")  # nosec B108
"""The folder whose folder for all instances is the last one that is tried."""


def candidates(environ: Mapping[str, str] = environment(), user: int | None = None) -> Iterator[Path]:
    """Folders that may have a folder for each instance, the best first; whether they are there, and can be used, is not
    looked at. `user` is whose daemons they are of, this process's user unless it is given.
    """
    user = os.geteuid() if user is None else user
    folders = [environ.get("RUNTIME_DIRECTORY", "").split(":")[0]]  # systemd separates several by colons
    if os.geteuid() == 0:
        folders.append("/run/hvd")
    folders += [f"{base}/hvd" for base in (environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{user}") if base]
    folders.append(f"{environ.get('TMPDIR') or '/tmp'}/hvd-{user}")  # nosec B108  # what others may have put there: folder.py
    # there wherever a block can be: a read-only image may have nothing else
    folders.append(str(LAST_RESORT / f".hvd-{user}"))
    with contextlib.suppress(OSError):
        folders += [str(LAST_RESORT / name) for name in evasive_names(LAST_RESORT, f".hvd-{user}", user)]
    yield from map(Path, dict.fromkeys(filter(None, folders)))


def evasive_folder() -> Path:
    """A folder with a new name: in folders that all users can write, another user may have made every known one.

    Commands find it by its owner, as `candidates` does.
    """
    return LAST_RESORT / new_name(f".hvd-{os.geteuid()}")
