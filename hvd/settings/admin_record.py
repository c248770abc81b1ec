"""The record of a daemon's admin address, by which commands find it: FOLDER/INSTANCE/admin.json.

FOLDER is one of runtime_folder.candidates(). The file is an object, of mode 0600:

    {"instance": "shop", "address": "unix:/run/hvd/shop/admin.sock", "bind": "127.0.0.1:8080",
     "pid": 4711, "started": 123456, "version": "0.1.0"}

`address` is where the admin server listens, in the form of the setting admin_bind, with the port that it really has;
`bind` is where the service does. `pid` is the master's, and `started` when that process started, in clock ticks since
boot (hvd/core/proc.py, start_ticks): together they name one process, and a record whose process is gone is of a daemon
that was killed. During an upgrade the record is the newer master's. It is written beside its place and renamed, so a
reader never sees half of it, and removed at a clean stop.
"""

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from hvd.core.files import replace_file
from hvd.core.proc import is_alive

RECORD = "admin.json"
"""The file's name."""

LONGEST = 64 * 1024  # bytes of a file that is read: a record has some hundred


@dataclass(frozen=True)
class AdminRecord:
    """What the file says."""

    instance: str
    address: str
    bind: str
    pid: int
    started: int
    version: str

    @property
    def is_stale(self) -> bool:
        """True once the master is gone that wrote it. -> False where the process can't be looked at."""
        return not is_alive(self.pid, self.started)

    def write(self, folder: Path) -> None:
        """Put it into an instance's runtime folder. Raises OSError."""
        replace_file(folder / RECORD, json.dumps(asdict(self)), is_lasting=False)  # the folder goes with the daemon


def read_record(folder: Path) -> AdminRecord | None:
    """The record in an instance's runtime folder; None where there is none, or none that can be read."""
    try:
        fd = os.open(folder / RECORD, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(fd, encoding="utf-8") as file:
            values = json.loads(file.read(LONGEST))
        record = AdminRecord(*(values[field.name] for field in fields(AdminRecord)))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    is_right = all(type(getattr(record, field.name)) is field.type for field in fields(AdminRecord))
    return record if is_right else None
