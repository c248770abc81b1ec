"""Where a daemon's workers listen: from the inode numbers of their sockets to addresses (proc_net(5), proc(5))."""

import contextlib
import socket
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from hvd.cli.admin import reachable
from hvd.cli.client import Address

_LISTENS = "0A"  # linux/tcp_states.h
_UNIX_LISTENS = "00010000"  # linux/net.h, __SO_ACCEPTCON
_WORD = 8  # hexadecimal digits of 32 bits


def listening_addresses(pid: int, numbers: Collection[int], proc: Path = Path("/proc")) -> list[Address]:
    """The addresses at which these sockets listen, in the network of that process; those that are unknown left out."""
    inodes = set(map(str, numbers))
    if not inodes:
        return []
    binds = [*_tcp_binds(proc / str(pid) / "net", inodes), *_unix_binds(proc / str(pid) / "net" / "unix", inodes)]
    return reachable(binds)


def _tcp_binds(folder: Path, inodes: Collection[str]) -> Iterator[str]:
    for name in ("tcp", "tcp6"):
        for fields in _lines(folder / name):
            if len(fields) > 9 and fields[3] == _LISTENS and fields[9] in inodes:
                host, _, port = fields[1].partition(":")
                with contextlib.suppress(ValueError):
                    yield f"{_host(host)}:{int(port, 16)}"


def _host(digits: str) -> str:
    """The kernel prints an address as words of 32 bits in the machine's own order. Raises ValueError."""
    words = [bytes.fromhex(digits[start : start + _WORD]) for start in range(0, len(digits), _WORD)]
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    return socket.inet_ntoa(packed) if len(packed) == 4 else f"[{socket.inet_ntop(socket.AF_INET6, packed)}]"


def _unix_binds(file: Path, inodes: Collection[str]) -> Iterator[str]:
    for fields in _lines(file):
        if len(fields) > 7 and fields[3] == _UNIX_LISTENS and fields[6] in inodes and fields[7].startswith("/"):
            yield f"unix:{fields[7]}"


def _lines(file: Path) -> Iterator[list[str]]:
    """The fields of each line below the head; a path, which comes last, may hold blanks."""
    with contextlib.suppress(OSError):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines()[1:]:
            yield line.split(maxsplit=7) if file.name == "unix" else line.split()
