"""What a master tells the service manager that started it: the protocol of sd_notify(3), datagrams of NAME=VALUE lines.

gunicorn says READY=1 by itself once it listens (27.0.1, `Arbiter.start`): before any worker serves, and before there is
a figure. It finds the socket in NOTIFY_SOCKET. So a master takes that out of its environment before (`on_starting`),
and nothing that it starts has it either: no worker, no companion, no job. tests/unit/daemon/test_notify.py fails if
gunicorn changes that.
"""

import os
import socket
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field

ADDRESS = "NOTIFY_SOCKET"
WATCHDOG, WATCHDOG_PID = "WATCHDOG_USEC", "WATCHDOG_PID"
VARIABLES = (ADDRESS, WATCHDOG, WATCHDOG_PID)
FEEDINGS = 3  # within the time after which the manager ends a service that is silent


@dataclass
class Manager:
    """A service manager. `address` is its socket's, "" where there is none: then nothing is sent.

    `watchdog` is after how many s without a sign of life it ends the service; 0.0: never. One thread uses it.
    """

    address: str = ""
    watchdog: float = 0.0
    _sender: socket.socket | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> "Manager":
        """The one that has started this process, by what VARIABLES say."""
        address, microseconds, pid = (variables.get(name, "") for name in VARIABLES)
        is_ours = address and microseconds.isdecimal() and pid in ("", str(os.getpid()))
        return cls(address, int(microseconds) / 1e6 if is_ours else 0.0)

    def pass_on(self, environ: MutableMapping[str, str]) -> None:
        """Have the program that this process is about to execute find it in that environment."""
        if self.address:
            environ[ADDRESS] = self.address
        if self.watchdog:
            environ[WATCHDOG], environ[WATCHDOG_PID] = str(round(self.watchdog * 1e6)), str(os.getpid())

    @property
    def feeding(self) -> float:
        """Seconds between two signs of life at most; 0.0 where the manager waits for none."""
        return self.watchdog / FEEDINGS

    def tell(self, **fields: object) -> bool:
        """Send these fields in one datagram, without waiting. -> False where it can't be told now."""
        if not self.address:
            return True
        name = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        message = "".join(f"{key}={str(value).replace(chr(10), ' ')}\n" for key, value in fields.items())
        try:
            self.open().sendto(message.encode(errors="replace"), name)
        except OSError:
            return False
        return True

    def open(self) -> socket.socket:
        """The own socket; there from the beginning, as a master without a free descriptor still lives, and says so.

        Raises OSError.
        """
        if not self._sender:
            self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._sender.setblocking(False)
        return self._sender

    def close(self) -> None:
        """In a child of the process: send nothing."""
        if self._sender:
            self._sender.close()
            self._sender = None
