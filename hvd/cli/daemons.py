"""The daemons that run on this machine, as far as this user may see them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from hvd.cli.admin import admin_addresses, service_addresses
from hvd.cli.client import Address
from hvd.cli.listeners import listening_addresses
from hvd.core.name import plain_name
from hvd.core.outside import PREFIX, KeptBlock, kept_blocks
from hvd.errors import DaemonsAmbiguous
from hvd.texts import plain


@dataclass(frozen=True)
class Daemon:
    """A daemon whose master lives: its instance, its block, its admin addresses and those at which it serves."""

    instance: str
    block: KeptBlock
    admin: tuple[Address, ...] = ()
    serves: tuple[Address, ...] = ()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where to ask it, the best first."""
        return self.admin + self.serves


def running_daemons() -> list[Daemon]:
    """This user's; root sees everybody's."""
    return [daemon_of(block) for block in kept_blocks() if os.geteuid() in (0, block.user)]


def daemon_of(block: KeptBlock) -> Daemon:
    """The daemon that keeps this block. Where it serves is what its sockets tell, or else its master."""
    instance, user = plain_name(block.name).removeprefix(PREFIX), block.user
    serves = listening_addresses(block.masters[0], block.listeners) or service_addresses(instance, user)
    return Daemon(instance, block, tuple(admin_addresses(instance, user)), tuple(serves))


def daemon_named(daemons: Iterable[Daemon], instance: str) -> Daemon | None:
    """The daemon of that instance; of several this user's own.

    Raises DaemonsAmbiguous: another user may have given a block any name, and root looks at them all.
    """
    named = [daemon for daemon in daemons if daemon.instance == instance]
    named = [daemon for daemon in named if daemon.block.user == os.geteuid()] or named
    if len(named) > 1:
        users = ", ".join(str(daemon.block.user) for daemon in named)
        raise DaemonsAmbiguous(
            f"{len(named)} daemons have the name {plain(instance)}, of the users (uid) {users}: "
            "run this as the one that is meant"
        )
    return named[0] if named else None
