"""By what name a daemon's totals are kept in the database, from one start to the next."""

import contextlib
import os
import socket
import uuid
from pathlib import Path


def short_name(database_url: str, instance: str) -> str:
    """The instance, with the host where machines share a database. SQLite is one machine's, and so are its names."""
    return instance if database_url.startswith("sqlite:") else f"{socket.gethostname()}/{instance}"


def daemon_name(database_url: str, state_dir: str, instance: str) -> str:
    """The name for totals. In a shared database it is kept in the state folder: a container may have a new host name at
    each start, and another one that of before. Where nothing can be kept, the short name has to do.
    """
    name = short_name(database_url, instance)
    if name == instance:
        return name
    path = Path(state_dir) / f"daemon-{instance}"
    with contextlib.suppress(OSError):
        if not path.exists():
            _keep(path, f"{name[:240]}/{uuid.uuid4().hex[:8]}")
        return path.read_text(encoding="utf-8")
    return name


def _keep(path: Path, name: str) -> None:
    """One of several processes is the first, and all have its name."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w", encoding="utf-8") as file:
        file.write(name)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
    finally:
        new.unlink()
