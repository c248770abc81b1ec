"""The admin address of a master: the socket at which its admin server listens, and the files that belong to it.

The master binds it and the admin server inherits it: so while that is replaced, connections wait in the backlog. At an
upgrade (USR2) the new master inherits it too, as the workers' sockets, whatever admin_bind says by then.
"""

import contextlib
import os
import socket
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hvd import __version__
from hvd.core.block import Block
from hvd.core.proc import start_ticks
from hvd.daemon.admin.folder import make_folder, remove_folder
from hvd.daemon.sockets import CLOSED, SocketAccess, refuse_taken_path
from hvd.errors import CannotStart
from hvd.settings.admin_record import RECORD, AdminRecord, read_record
from hvd.settings.runtime_folder import ADMIN_SOCKET
from hvd.settings.table import Settings

VARIABLE = "_HVD_ADMIN"  # not HVD_, which would make it a setting
BACKLOG = 4096  # connections that wait while the admin server is replaced; somaxconn (4096 from Linux 5.4 on) bounds it
UNIX = "unix:"
PAGE_PORTS = range(9464, 9564)
"""Ports for a page that a browser opens; Prometheus' exporters have the ones around the first."""

File = tuple[int, int]
"""Device and inode: what tells a file from another one that has its name later."""


def free_page_address() -> str:
    """A local address at which nothing listens yet, or "" where there is none."""
    for port in PAGE_PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else one that has just ended is in the way
            probe.bind(("127.0.0.1", port))
            return f"127.0.0.1:{port}"
    return ""


class AdminAddress:
    """One master's. Used in its main thread. `listener` is None where there can't be one."""

    def __init__(
        self, settings: Settings, access: SocketAccess, block: Block, log: Any, *, is_chosen: bool = False
    ) -> None:
        """`is_chosen`: the address is none that anybody has set, but `free_page_address`'s."""
        self._settings, self._block, self._log = settings, block, log
        self._access = access
        self._is_chosen = is_chosen
        self._pid, self._started = os.getpid(), start_ticks(os.getpid())
        self.listener: socket.socket | None = None
        self.address = ""
        self._file: File = (0, 0)
        self._folder: Path | None = None
        self._logged: set[str] = set()  # troubles, until something is well again

    def open(self, environ: MutableMapping[str, str]) -> None:
        """Listen: at what another master has passed on by the environment, else as the settings say.

        Raises CannotStart where an address is set that can't be had. Without one the daemon starts all the same.
        """
        if self._inherit(environ):
            return
        try:
            self.listener = self._bind_free() if self._is_chosen else self._bind()
        except CannotStart as error:
            if self._settings.admin_bind:
                raise CannotStart(f"{error}; or set none, for a socket of its own") from None
            self._log.warning("hvd: no admin server: %s; set HVD_ADMIN_BIND to an address for it", error)

    def _bind_free(self) -> socket.socket:
        """Bind a free address: a service that started at the same time may have chosen the same one."""
        while True:
            try:
                return self._bind()
            except CannotStart:
                other = free_page_address()
                if other in ("", self._settings.admin_bind):
                    raise
                self._settings = replace(self._settings, admin_bind=other)

    def _inherit(self, environ: MutableMapping[str, str]) -> bool:
        pid, _, passed = environ.pop(VARIABLE, "").partition(":")
        if pid != str(self._pid):
            return False
        fd, device, inode, self.address = passed.split(":", 3)
        self.listener, self._file = socket.socket(fileno=int(fd)), (int(device), int(inode))
        os.set_inheritable(int(fd), False)
        self._find_folder()
        bind = self._settings.admin_bind
        if bind and bind != self.address and not bind.endswith(":0"):
            self._log.warning("hvd: admin_bind stays %s at an upgrade: to change it, restart", self.address)
        return True

    def pass_on(self, environ: MutableMapping[str, str]) -> None:
        """Pass it on to the program that this process is about to execute with that environment."""
        if self.listener:
            self.listener.set_inheritable(True)
            fields = (os.getpid(), self.listener.fileno(), *self._file, self.address)
            environ[VARIABLE] = ":".join(map(str, fields))

    def close(self) -> None:
        """Close it in a worker: otherwise connections could wait at a socket at which nobody accepts."""
        if self.listener:
            self.listener.close()

    def _find_folder(self) -> None:
        """The folder for the record of the address; without one, commands need the address on their command line."""
        try:
            self._folder = make_folder(self._settings.instance, self._access)
        except CannotStart as error:
            self._folder = None
            self._complain(f"`hvd list` will not find this daemon: {error}")

    def _bind(self) -> socket.socket:
        """A socket that listens. Raises CannotStart."""
        if self._settings.admin_bind:
            self._find_folder()
            self.address = self._settings.admin_bind
        else:
            self._folder = make_folder(self._settings.instance, self._access)
            self.address = f"{UNIX}{self._folder / ADMIN_SOCKET}"
        try:
            return self._bind_unix() if self._path else self._bind_tcp()
        except OSError as error:
            reason = error.strerror or str(error)
            raise CannotStart(f"admin_bind is {self.address}, which can't be used: {reason}") from None

    @property
    def served(self) -> str:
        """Where it listens; "" where it doesn't."""
        return self.address if self.listener else ""

    @property
    def _path(self) -> str:
        """The socket's file; "" where it has none."""
        return self.address.removeprefix(UNIX) if self.address.startswith(UNIX) else ""

    def _bind_unix(self) -> socket.socket:
        refuse_taken_path(self._path, "admin_bind")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)  # of a daemon that was killed: nobody listens
        listener = socket.socket(socket.AF_UNIX)
        before = os.umask(CLOSED)
        try:
            listener.bind(self._path)
            self._access.give(self._path)
            listener.listen(BACKLOG)
            status = os.lstat(self._path)
        except BaseException:
            listener.close()
            raise
        finally:
            os.umask(before)
        self._file = status.st_dev, status.st_ino
        return listener

    def _bind_tcp(self) -> socket.socket:
        host, _, port = self.address.rpartition(":")
        family, kind, protocol, _, place = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            listener.listen(BACKLOG)
        except BaseException:
            listener.close()
            raise
        self.address = f"{host}:{listener.getsockname()[1]}"
        return listener

    def keep(self, replace: Callable[[], None]) -> None:
        """At each turn of the master's loop: a file that somebody has removed is made again, and `replace` called then,
        to have an admin server that listens at the new one. Of two masters the newer one does that.
        """
        if not self.listener or self._is_older():
            return
        if self._path and not self._is_mine():
            self._bind_again(replace)
        self._keep_record()

    def _bind_again(self, replace: Callable[[], None]) -> None:
        assert self.listener
        lost = self.address
        try:
            listener = self._bind()
        except CannotStart as error:
            self._complain(f"the admin server's socket {lost} was removed, and can't be made again: {error}")
            return
        os.dup2(listener.fileno(), self.listener.fileno(), inheritable=False)  # the number that the companion inherits
        listener.close()
        self._logged.clear()
        self._log.warning("hvd: the admin server's socket %s had been removed, and is there again", lost)
        replace()

    def _keep_record(self) -> None:
        if self._folder is None:
            return
        pid, started, bind = self._pid, self._started, self._settings.bind
        record = AdminRecord(self._settings.instance, self.address, bind, pid, started, __version__)
        if read_record(self._folder) == record:
            return
        try:
            record.write(self._folder)
        except FileNotFoundError:  # the folder was removed, as logind does when the user logs out
            self._find_folder()
        except OSError as error:
            self._complain(f"`hvd list` will not find this daemon: {self._folder / RECORD}: {error.strerror}")

    def _complain(self, trouble: str) -> None:
        if trouble not in self._logged:
            self._log.error("hvd: %s", trouble)
            self._logged.add(trouble)

    def _is_older(self) -> bool:
        """True while a master that this one has started lives."""
        return any(start_ticks(pid) > self._started for pid in self._block.masters() if pid != self._pid)

    def _is_mine(self) -> bool:
        """Whether the file is still that of the listener."""
        try:
            status = os.lstat(self._path)
        except OSError:
            return False
        return self._file == (status.st_dev, status.st_ino)

    def leave(self, *, is_last: bool) -> None:
        """The master ends: close the socket, and remove its files unless another master goes on with them."""
        self.close()
        if not is_last:
            return
        if self._path and self._is_mine():
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        if self._folder is not None:
            self._remove_record(self._folder)
            remove_folder(self._folder)

    def _remove_record(self, folder: Path) -> None:
        record = read_record(folder)
        if record and (record.is_stale or record.pid == self._pid):
            with contextlib.suppress(OSError):
                os.unlink(folder / RECORD)
