"""Lines for systemd's journal: with a priority in front, and without a time, which the journal adds itself.

systemd.exec(5), JOURNAL_STREAM: device and inode number of the socket that a service's standard output or error is. It
is inherited by whatever the service starts, so it says something only of a descriptor with these very numbers.
sd-daemon(3): a line that begins with `<3>` has the priority 3, as syslog(3) numbers them.
"""

import os
import re
from collections.abc import Mapping

from hvd.settings.variables import environment

STDERR = 2
ERROR = 3  # syslog(3), LOG_ERR


def is_journal(fd: int = STDERR, environ: Mapping[str, str] = environment()) -> bool:
    """Whether what is written there goes to the journal as it is."""
    try:
        file = os.fstat(fd)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM", "") == f"{file.st_dev}:{file.st_ino}"


def prefixed(text: str, priority: int) -> str:
    """The text with the priority before each of its lines: the journal makes an entry of each, a NUL ends one too."""
    return "\n".join(f"<{priority}>{line}" for line in re.split("[\n\0]", text.rstrip("\n")))


def complaint_line(text: str) -> str:
    """What ends a start, for standard error: with the priority of an error where that is the journal."""
    return prefixed(text, ERROR) if is_journal() else text
