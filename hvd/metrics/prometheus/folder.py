"""The folder that PROMETHEUS_MULTIPROC_DIR names while the front is installed: an empty one.

Libraries on top of prometheus_client look for the variable to see whether several processes count, and whether it names
a folder. Nobody writes into it but a child that got the variable in an environment that its parent made of its own:
one that inherits the environment doesn't have it, and counts for itself, as it did before.

The maker and those that it forks hold the folder's lock (flock(2)) as long as they live. The maker removes it when it
ends; one whose maker was killed is removed by the next process that makes one.
"""

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

from hvd.settings.variables import environment, set_here, take_out

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
OLD_VARIABLE = "prometheus_multiproc_dir"
"""What prometheus_client called it before version 0.8."""

PREFIX = "hvd-prometheus-"
"""What the name of such a folder begins with."""

INSTEAD = str(Path(__file__).parent)
"""The folder where none can be made."""

_made = ""


def users_folder() -> str:
    """The folder that the environment names for prometheus_client's own files; "" where it names none, or hvd's."""
    for name in (VARIABLE, OLD_VARIABLE):
        folder = environment().get(name, "")
        if folder and not is_own(folder):
            return folder
    return ""


def named() -> str:
    """The folder that the environment names now: a user's, where that came later, else hvd's; "" for none."""
    users = users_folder()
    if users and is_own(environment().get(VARIABLE, "")):
        take_out([VARIABLE])  # as prometheus_client takes the old variable only where there is no new one
    return users or environment().get(VARIABLE, "")


def is_own(folder: str) -> bool:
    """Whether a folder is one that hvd has made for this."""
    return os.path.basename(os.path.normpath(folder)).startswith(PREFIX) or folder == INSTEAD


def point_there() -> None:
    """Have the variable name an empty folder, in this process and in those that it forks."""
    global _made
    if not _made:
        try:
            _remove_unused()
            _made = _make()
        except OSError:  # a read-only image: then one that has none of the files for sure
            _made = INSTEAD
        else:
            atexit.register(_remove, _made, os.getpid())
    take_out([OLD_VARIABLE])
    set_here(VARIABLE, _made)


def drop(environ: MutableMapping[str, str]) -> None:
    """Take the variable out of the environment of a program that is about to be executed, if it names such a folder."""
    if is_own(environ.get(VARIABLE, "")):
        del environ[VARIABLE]


def _make() -> str:
    """A new folder, whose lock this process holds."""
    folder = tempfile.mkdtemp(prefix=PREFIX)
    fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_SH)
    if not os.path.isdir(folder):  # removed by another process before it was locked
        raise FileNotFoundError(folder)
    return folder


def _remove_unused() -> None:
    """Those of this user whose lock nobody holds."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid == os.geteuid():
                fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)
                finally:
                    os.close(fd)


def _remove(folder: str, maker: int) -> None:
    if os.getpid() == maker:
        shutil.rmtree(folder, ignore_errors=True)
