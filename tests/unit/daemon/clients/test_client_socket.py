"""A client's socket: what the loop has read comes first, what the kernel does not take is kept, waiting has an end."""

import io
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from hvd.daemon.clients.client_socket import TAIL_FULL, ClientSocket, RequestTimeout, Room
from hvd.daemon.clients.pace import Limits
from hvd.metrics.clients import HALF_BODY, HALF_HEAD, UNREAD
from tests.support.waiting import until

QUICK = Limits(0.05, 0.05, 0.05)
LONG = Limits(60, 60, 60)
MUCH = bytes(4 * 1024 * 1024)
"""More than any kernel buffer."""


class Pair:
    """A client socket of ours, and the client's end."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []

    def make(self, limits: Limits = QUICK, room: Room | None = None) -> tuple[ClientSocket, socket.socket]:
        ours, theirs = socket.socketpair()
        client = ClientSocket.of(ours, limits, room)
        theirs.settimeout(10)
        self.sockets += [client, theirs]
        return client, theirs


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    for sock in made.sockets:
        sock.close()


def read_all(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := sock.recv(1 << 20)):
        data += piece
    return data


def test_what_the_loop_has_read_comes_first(pair: Pair) -> None:
    """Then what the kernel has."""
    ours, theirs = pair.make()
    theirs.sendall(b"later")
    ours.received = b"first"
    assert ours.recv(2, socket.MSG_PEEK) == b"fi"
    assert ours.recv(2) == b"fi"
    buffer = bytearray(10)
    assert ours.recv_into(buffer) == 3
    assert buffer[:3] == b"rst"
    assert ours.recv(100) == b"later"
    assert ours.is_drained


def test_a_head_that_does_not_come_ends(pair: Pair) -> None:
    """Nothing of it: as if the client had gone. A part of it: 408."""
    ours, _ = pair.make()
    ours.has_head = False
    assert ours.recv(100) == b""
    ours, theirs = pair.make(Limits(0.3, 60, 60))
    ours.has_head = False
    timer = threading.Timer(0.01, theirs.sendall, [b"GET"])
    timer.start()
    assert ours.recv(100) == b"GET"
    with pytest.raises(RequestTimeout):
        ours.recv(100)
    timer.join()


def test_a_body_that_does_not_come_ends_the_connection(pair: Pair) -> None:
    """With the error of a client that has gone."""
    ours, _ = pair.make(Limits(60, 0.05, 60))
    ours.has_head = True
    with pytest.raises(ConnectionResetError):
        ours.recv(100)


def test_gunicorns_timeouts_are_kept(pair: Pair) -> None:
    """0: no waiting at all; seconds: TimeoutError after them."""
    ours, _ = pair.make(LONG)
    ours.setblocking(False)
    assert ours.gettimeout() == 0
    with pytest.raises(BlockingIOError):
        ours.recv(1)
    ours.settimeout(0.01)
    with pytest.raises(TimeoutError):
        ours.recv(1)
    ours.setblocking(True)
    assert ours.gettimeout() is None


def test_what_is_not_read_is_kept_and_flushed(pair: Pair) -> None:
    """A piece of any size waits without a thread, and comes as it was."""
    ours, theirs = pair.make(LONG, Room())
    ours.sendall(MUCH)
    assert ours.tail_bytes > TAIL_FULL
    assert not ours.flush()
    reader = threading.Thread(target=until, args=(ours.flush, "all is sent"))
    reader.start()
    assert read_all(theirs, len(MUCH)) == MUCH
    reader.join()
    assert ours.tail_bytes == 0


def test_a_further_piece_waits_while_the_tail_is_long(pair: Pair) -> None:
    """So the tail of a stream is bounded; a client that never reads ends it."""
    ours, _ = pair.make(QUICK, Room())
    ours.sendall(MUCH)
    with pytest.raises(ConnectionResetError):
        ours.sendall(b"more")
    assert ours.waits_for is None


@pytest.mark.parametrize("room", [None, Room()])
def test_without_a_loop_or_room_the_thread_waits(pair: Pair, room: Room | None) -> None:
    """The first piece waits too."""
    if room:
        room.is_full = True
    ours, _ = pair.make(QUICK, room)
    with pytest.raises(ConnectionResetError):
        ours.sendall(MUCH)


def test_a_client_that_reads_gets_all_without_a_loop(pair: Pair) -> None:
    """As with any other socket; `send` and `sendfile` as well."""
    ours, theirs = pair.make(LONG)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(read_all(theirs, len(MUCH) + 4)))
    reader.start()
    assert ours.send(b"head") == 4
    ours.sendall(MUCH)
    reader.join()
    assert got == [b"head" + MUCH]


def test_a_file_is_sent_in_pieces(pair: Pair) -> None:
    """From its offset, as much as is wanted."""
    ours, theirs = pair.make(LONG)
    assert ours.sendfile(io.BytesIO(b"0123456789"), 2, 5) == 5
    assert ours.sendfile(io.BytesIO(b"0123456789"), 8) == 2
    assert theirs.recv(100) == b"2345689"


@pytest.mark.parametrize("state", [HALF_HEAD, HALF_BODY, UNREAD])
def test_a_thread_that_waits_says_so_and_gives_way(pair: Pair, state: int) -> None:
    """From another thread, which ends its waiting at once."""
    ours, _ = pair.make(LONG)
    ours.has_head = state == HALF_BODY
    ended: list[BaseException] = []

    def work() -> None:
        try:
            ours.sendall(MUCH) if state == UNREAD else ours.recv(1)
        except ConnectionResetError as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: ours.waits_for == state, "it waits")
    assert not ours.gives_way(time.monotonic(), 1)
    assert ours.gives_way(time.monotonic() + 2, 1)
    ours.give_way()
    thread.join(10)
    assert len(ended) == 1
    assert ours.waits_for is None


def test_a_thread_that_waits_calls_on_wait(pair: Pair) -> None:
    """So a sync worker is not taken for one that hangs."""
    ours, _ = pair.make(QUICK)
    calls: list[int] = []
    ours.on_wait = lambda: calls.append(1)
    ours.has_head = False
    ours.recv(1)
    assert calls


def test_a_copy_is_a_plain_socket(pair: Pair) -> None:
    """For apps that take the connection over; it blocks, as gunicorn's would."""
    ours, theirs = pair.make(QUICK)
    ours.setblocking(False)
    with ours.dup() as copy:
        assert type(copy) is socket.socket
        assert copy.gettimeout() is None
        threading.Timer(0.2, theirs.sendall, [b"late"]).start()
        assert copy.recv(10) == b"late"


def test_who_must_not_wait_to_send_does_not(pair: Pair) -> None:
    """The loop, which answers 408 to a client that has not read what came before; whatever room there is."""
    room = Room()
    ours, _ = pair.make(LONG, room)
    ours.sendall(MUCH)
    room.is_full = True
    before = ours.tail_bytes
    ours.setblocking(False)
    sending = threading.Thread(target=ours.sendall, args=(b"408",), daemon=True)
    sending.start()
    sending.join(10)
    assert not sending.is_alive()
    assert ours.tail_bytes == before + 3
