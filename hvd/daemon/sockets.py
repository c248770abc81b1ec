"""The daemon's unix sockets, whose files gunicorn makes and removes without a look at whose they are.

`gunicorn.sock` (27.0.1) removes whatever socket is at the path that it binds, even one that another daemon serves; at a
stop it removes whatever is there, and fails where nothing is. tests/live/test_unix_sockets.py would see it.
"""

import contextlib
import os
import socket
import stat
from typing import Any

from gunicorn import systemd

from hvd.errors import CannotStart


def current_umask() -> int:
    """The umask of this process, which can only be read by setting another. Used in the main thread."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


class UnixSockets:
    """Those of one master. Used in its main thread."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._files: dict[str, os.stat_result] = {}

    def refuse_taken(self) -> None:
        """Before gunicorn binds them. Raises CannotStart where a server listens, or what is there is no socket."""
        if self._server.master_pid or systemd.listen_fds(unset_environment=False):
            return  # they are inherited
        for path in self._server.cfg.address:
            if isinstance(path, str) and not path.startswith("\0"):
                refuse_taken_path(path, "bind")

    def note(self) -> None:
        """They are bound: these files are ours."""
        for path in self._paths():
            with contextlib.suppress(OSError):
                self._files[path] = os.stat(path)

    def disown(self) -> None:
        """Before gunicorn removes them: have it skip those that are gone, or another process's by now."""
        for path, listener in self._paths().items():
            if not self._is_ours(path):
                listener.close()
                self._server.LISTENERS.remove(listener)

    def _paths(self) -> dict[str, Any]:
        listeners = {}
        for listener in self._server.LISTENERS:
            if listener.FAMILY == socket.AF_UNIX and (path := str(listener.getsockname())):
                listeners[path] = listener
        return listeners

    def _is_ours(self, path: str) -> bool:
        try:
            return path not in self._files or os.path.samestat(self._files[path], os.stat(path))
        except OSError:
            return False


def refuse_taken_path(path: str, key: str) -> None:
    """Raises CannotStart where a server listens at this path, or what is there is no socket; `key` is the setting."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise CannotStart(f"{key} is unix:{path}, which is there and no socket: remove it, or bind another path")
    except FileNotFoundError:
        return
    except OSError as error:
        raise CannotStart(f"{key} is unix:{path}, which can't be used: {error.strerror}") from None
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return  # nobody has it open any more
        except OSError as error:
            why = f"another server's socket ({error.strerror})"
        else:
            why = "a socket at which another server listens"
    raise CannotStart(f"{key} is unix:{path}, {why}: stop that server, or bind another path (HVD_{key.upper()})")
