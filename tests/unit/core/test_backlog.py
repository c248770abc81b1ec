"""What waits at real sockets, as the kernel tells it."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hvd.core import backlog, layout
from hvd.core.backlog import Backlog, listeners, note_listeners, read_backlog
from hvd.core.block import Block
from tests.unit.core.support import no_descriptor


@pytest.fixture
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """Listens, with room for 7 that wait."""
    family = request.param
    address = {
        socket.AF_INET: ("127.0.0.1", 0),
        socket.AF_INET6: ("::1", 0),
        socket.AF_UNIX: str(tmp_path / "socket"),
    }
    with socket.socket(family) as sock:
        sock.bind(address[family])
        sock.listen(7)
        yield sock


each_family = pytest.mark.parametrize(
    "listener", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX], indirect=True, ids=["TCP4", "TCP6", "unix"]
)


def connect(listener: socket.socket, stack: ExitStack) -> socket.socket:
    client = stack.enter_context(socket.socket(listener.family))
    client.connect(listener.getsockname())
    return client


def inode(sock: socket.socket) -> int:
    return os.fstat(sock.fileno()).st_ino


@each_family
def test_connections_that_wait_are_counted(listener: socket.socket) -> None:
    """Until they are accepted; with how many may wait."""
    with ExitStack() as stack:
        assert read_backlog([inode(listener)]) == Backlog(0, 7)
        for _ in range(5):
            connect(listener, stack)
        assert read_backlog([inode(listener)]) == Backlog(5, 7)
        for _ in range(3):
            stack.enter_context(listener.accept()[0])
        assert read_backlog([inode(listener)]) == Backlog(2, 7)


@each_family
def test_sockets_add_up(listener: socket.socket) -> None:
    """Whatever they are; one that is gone by now does not count."""
    with socket.create_server(("127.0.0.1", 0), backlog=3) as other, ExitStack() as stack:
        connect(listener, stack)
        connect(other, stack)
        assert read_backlog([inode(listener), inode(other), 1]) == Backlog(2, 10)
        connection = stack.enter_context(other.accept()[0])
        assert read_backlog([inode(connection)]) is None, "it listens at nothing"


def test_many_listeners_of_others_are_passed_over() -> None:
    """Their answers don't fit one datagram."""
    with ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=9)) for _ in range(600)]
        assert read_backlog([inode(servers[0]), inode(servers[-1])]) == Backlog(0, 18)


def test_what_the_kernel_does_not_tell_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket at all, one that is unknown, no descriptor, a kind of socket that a sandbox refuses."""
    assert read_backlog([]) is None
    assert read_backlog([1]) is None
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert read_backlog([inode(server)])
        with no_descriptor():
            assert read_backlog([inode(server)]) is None
        monkeypatch.setattr(backlog, "NETLINK_SOCK_DIAG", 21)  # there is no such protocol
        assert read_backlog([inode(server)]) is None


def test_a_master_notes_where_its_workers_listen(block: Block) -> None:
    """Fewer or others replace those before; what there is no cell for is left out."""
    assert listeners(block) == []
    with ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(layout.LISTENERS + 1)]
        note_listeners(block, [server.fileno() for server in servers])
        assert listeners(block) == [inode(server) for server in servers[:-1]]
        note_listeners(block, [servers[-1].fileno()])
        assert listeners(block) == [inode(servers[-1])]
    assert read_backlog(listeners(block)) is None
