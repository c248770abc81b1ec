"""Whether an address is reached from other machines, and whether that needs a token."""

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator

from hvd.settings.table import READS_BY_TOKEN, Settings

_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


def bound_locally(bind: str) -> bool:
    """True for a unix socket, and for an address that only this machine reaches: 127.0.0.0/8, ::1, localhost."""
    if bind.startswith("unix:"):
        return True
    host = bind.rpartition(":")[0].strip("[]")
    return host.lower() == "localhost" or is_loopback(host)


def is_loopback(host: str) -> bool:
    """True for an IP address that only this machine reaches."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in _LOOPBACK)


def asks_for_tokens(settings: Settings) -> bool:
    """Whether what isn't open needs a token, on every address: one is there, a file for them, or reads need one.

    A file without any token opens nothing: revoking the last one is not meant to let everybody in.
    """
    return bool(settings.token) or settings.tokens is not None or settings.reads == READS_BY_TOKEN


def access_of(settings: Settings) -> str:
    """A name of the rule of who may read, which changes with the rule; "" while anybody may."""
    if settings.reads != READS_BY_TOKEN:
        return ""
    known = [settings.token, *sorted(token.line() for token in settings.tokens or ())]
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:16]


def exposures(settings: Settings, addresses: Iterable[tuple[str, str]]) -> Iterator[str]:
    """What is wrong with addresses that others reach, each given with its key; nothing where a token is asked for."""
    if asks_for_tokens(settings):
        return
    for key, address in addresses:
        if address and not bound_locally(address):
            yield (
                f"{key} is {address}, which other machines reach, and there is no token: make one by `hvd token new`, "
                "bind 127.0.0.1 or a unix socket, or set allow_public (HVD_ALLOW_PUBLIC=true)"
            )
