"""Which daemon the commands mean, and at which of its addresses they ask it."""

import argparse
import dataclasses
from collections.abc import Iterable, Sequence

from hvd.cli.admin import admin_addresses, reachable
from hvd.cli.client import Address, get_health
from hvd.cli.credentials import ca_file, explicit_token
from hvd.cli.daemons import Daemon, daemon_named, running_daemons
from hvd.errors import DaemonsAmbiguous, DaemonUnreachable, SettingsError
from hvd.settings.loader import Loaded, load
from hvd.texts import as_toml, plain

PROBE = 2.0
"""Seconds that an address has to answer before the next one is asked: an admin server needs milliseconds."""

STALE = 5.0
"""Seconds after which what an aggregator observed is stale, where its interval isn't known: two of the usual ones."""


def target(args: argparse.Namespace) -> tuple[Address, float]:
    """The daemon to ask, and the age in s from which what it observed is stale: two intervals and some.

    It is asked at its admin server, where that answers; else at the last address that it may have, which names the
    others in its messages. Raises SettingsError where neither arguments nor settings name a daemon, DaemonsAmbiguous
    where several may be meant, DaemonUnreachable where none has the name of --instance. The address has the token that
    --token-file and HVD_TOKEN name, or the settings where they name the daemon; that of --url has the CA file too.
    """
    token = explicit_token(args)
    if args.url:
        return dataclasses.replace(args.url, token=token, ca_file=ca_file(args) if args.url.tls else ""), STALE
    if args.instance:
        return dataclasses.replace(_of_instance(args.instance), token=token), STALE
    loaded = load()
    address = dataclasses.replace(_of_settings(loaded), token=token or loaded.settings.token)
    return address, 2 * loaded.settings.interval + 1


class Search:
    """Tries one address after the other, and notes those that gave no answer."""

    def __init__(self) -> None:
        self.tried: list[str] = []

    def answers(self, address: Address) -> bool:
        """True if a daemon answers there, whatever it says of its health."""
        try:
            get_health(address, PROBE)
        except DaemonUnreachable as error:
            text = f"{address.url} ({error.reason})"
            self.tried += [] if text in self.tried else [text]
            return False
        return True

    def last(self, address: Address) -> Address:
        """The address that is left, which isn't asked here: the command itself says what is wrong with it."""
        return dataclasses.replace(address, tried=tuple(self.tried))


def _of_instance(instance: str) -> Address:
    daemons = running_daemons()
    daemon = daemon_named(daemons, instance)
    if daemon is None:
        others = f"these run: {names(daemons)}" if daemons else "none runs"
        raise DaemonUnreachable(f"no daemon of the name {plain(instance)} runs on this machine: {others}")
    if not daemon.addresses:
        raise DaemonUnreachable(f"daemon {instance} runs, but its addresses can't be seen from here: give --url")
    search = Search()
    for address in daemon.addresses[:-1]:
        if search.answers(address):
            return address
    return search.last(daemon.addresses[-1])


def _of_settings(loaded: Loaded) -> Address:
    settings, sources, _, _ = loaded
    search = Search()
    for address in [*reachable([settings.admin_bind]), *admin_addresses(settings.instance)]:
        if search.answers(address):
            return address
    if not any(sources[key] != "default" for key in ("bind", "instance", "admin_bind")):
        for address in _only_daemon_s(running_daemons()):
            if search.answers(address):
                return address
    try:
        return search.last(Address.of_bind(settings.bind))
    except ValueError:
        raise SettingsError([f"bind is {as_toml(settings.bind)}, which names no port to ask: use --url"]) from None


def _only_daemon_s(daemons: Sequence[Daemon]) -> tuple[Address, ...]:
    """The addresses of the one that runs, none where none does. Raises DaemonsAmbiguous."""
    if len(daemons) > 1:
        raise DaemonsAmbiguous(
            f"{len(daemons)} daemons run and nothing says which is meant: choose one by --instance: {names(daemons)}"
        )
    return daemons[0].addresses if daemons else ()


def names(daemons: Iterable[Daemon]) -> str:
    """Their instances, for a message."""
    return ", ".join(plain(daemon.instance) for daemon in daemons)
