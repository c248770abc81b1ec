"""Who has connected to a unix socket."""

import os
import socket

import pytest

from hvd.core import peers
from hvd.core.peers import Peer, gid_of, own_users
from tests.unit.core.support import ended, fork

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


def test_a_pair_is_of_this_process() -> None:
    """A connection that is over, or none of a unix socket, is nobody's."""
    one, other = socket.socketpair()
    with other:
        peer = Peer.of(one)
        assert peer == Peer(os.geteuid(), os.getegid(), frozenset(os.getgroups()))
        assert peer.is_one_of(own_users())
        assert not peer.is_one_of(frozenset({4711}))
        assert not peer.is_in(4711)
        one.close()
        assert Peer.of(one) is None
    with socket.socket() as tcp:
        assert Peer.of(tcp) is None


@ROOT_ONLY
@pytest.mark.parametrize(
    ("uid", "gid", "groups", "expected"),
    [
        (4711, 4711, [], False),
        (4711, 50, [], True),
        (4711, 4711, [7, 50, 9], True),
        (4711, 4711, list(range(1, 250)), True),
        (4711, 4711, list(range(1, 400)), False),  # more than getsockopt takes here: none is known
        (12, 4711, [], True),
        (0, 4711, [], True),
    ],
)
def test_another_s_user_and_all_its_groups_decide(uid: int, gid: int, groups: list[int], expected: bool) -> None:
    """As they were when it connected: what it gives up, or becomes, afterwards changes nothing."""
    name = f"\0hvd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()

        def connect() -> None:
            os.setgroups(groups)
            os.setresgid(gid, gid, 0)
            os.setresuid(uid, uid, 0)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(name)
                os.setresuid(0, 0, 0)
                client.recv(1)

        child = fork(connect)
        connection, _ = listener.accept()
        with connection:
            peer = Peer.of(connection)
            assert peer
            assert (peer.uid, peer.gid) == (uid, gid)
            assert (peer.is_one_of(frozenset({12, 0})) or peer.is_in(50)) is expected
        assert ended(child) == 0


def test_who_has_no_number_here_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container all users of the machine that aren't mapped have the id of `nobody`, whose the daemon may be."""
    users, nobody = frozenset({65534}), Peer(65534, 65534, frozenset())
    for is_mapped in (True, False):
        monkeypatch.setattr(peers, "_is_mapped", lambda kind, is_mapped=is_mapped: is_mapped)
        assert nobody.is_one_of(users) is not is_mapped
        assert nobody.is_in(65534) is not is_mapped


def test_a_group_has_a_name_or_a_number() -> None:
    """A name that isn't there has none."""
    assert (gid_of("4711"), gid_of("root")) == (4711, 0)
    with pytest.raises(KeyError):
        gid_of("nosuchgroup")
