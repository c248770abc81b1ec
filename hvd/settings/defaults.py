"""Defaults of settings that depend on the machine, or on settings listed before them."""

import hashlib
import os
import re
from collections.abc import Mapping
from typing import Any

from hvd.settings.processors import usable_cores

SLOTS_MAX = 4096


def instance_of(values: Mapping[str, Any]) -> str:
    """A name for the block that two daemons share only if they would share their address too."""
    bind = str(values["bind"])
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", bind.removeprefix("unix:")).strip("-")
    if bind.startswith(("unix:", "[")) or len(plain) > 64:  # characters were lost: a hash tells such names apart
        plain = f"{plain[-55:].lstrip('-')}-{hashlib.sha256(os.fsencode(bind)).hexdigest()[:8]}"
    return plain


def cores(_: Mapping[str, Any]) -> int:
    """One for each core; two at least, so that one can serve while the other is replaced."""
    return min(1024, max(2, usable_cores()))


def job_cores(_: Mapping[str, Any]) -> int:
    """One for each core."""
    return min(1024, usable_cores())


def threads_of(values: Mapping[str, Any]) -> int:
    """Four, but where a worker serves one request at a time."""
    return 1 if values["worker_class"] == "sync" else 4


def slots_of(values: Mapping[str, Any]) -> int:
    """Eight for each worker: for reloads, upgrades, and workers that are added later."""
    count: int = values["workers"]
    return min(SLOTS_MAX, max(64, 8 * count))


def database_in(values: Mapping[str, Any]) -> str:
    """SQLite, in the folder for what outlives hvd."""
    return f"sqlite:///{values['state_dir']}/hvd.sqlite3"
