"""From the inode numbers of sockets to the addresses at which they listen."""

import os
import socket
from pathlib import Path

from hvd.cli.listeners import listening_addresses


def inode(sock: socket.socket) -> int:
    return os.fstat(sock.fileno()).st_ino


def test_sockets_that_listen_are_found(tmp_path: Path) -> None:
    """TCP, IPv6 and unix; one that is bound to everything is reached at the local address."""
    path = f"{tmp_path}/a b.sock"
    with (
        socket.create_server(("127.0.0.1", 0)) as local,
        socket.create_server(("0.0.0.0", 0)) as everywhere,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        unix.bind(path)
        unix.listen()
        found = listening_addresses(os.getpid(), [inode(sock) for sock in (local, everywhere, six, unix)])
        ports = [sock.getsockname()[1] for sock in (local, everywhere, six)]
    assert sorted(address.url for address in found) == sorted(
        [
            f"http://127.0.0.1:{ports[0]}",
            f"http://127.0.0.1:{ports[1]}",
            f"http://[::1]:{ports[2]}",
            f"unix:{path}",
        ]
    )


def test_what_does_not_listen_is_left_out() -> None:
    """A number that is none's, a process that is gone, a socket that is only bound."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert listening_addresses(os.getpid(), [inode(bound), 1]) == []
    assert listening_addresses(2**22 + 1, [1]) == []
    assert listening_addresses(os.getpid(), []) == []


def test_odd_lines_are_passed_over(tmp_path: Path) -> None:
    """As another kernel may have them."""
    folder = tmp_path / "1" / "net"
    folder.mkdir(parents=True)
    tcp = "head\n0: xyz:1 0:0 0A a b c d e 5\n\nshort\n1: 0100007F:zz 0:0 0A a b c d e 5\n"
    (folder / "tcp").write_text(tcp)
    (folder / "unix").write_text("head\n0: 2 0 00010000 1 1 5\n1: 2 0 00010000 1 1 5 @abstract\n")
    assert listening_addresses(1, [5], tmp_path) == []
