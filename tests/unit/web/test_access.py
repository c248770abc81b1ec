"""Who has which scope: by a token, by its process at a unix socket, by being on this machine."""

import socket
from types import SimpleNamespace
from typing import Any

import falcon
import pytest

from hvd.core import peers
from hvd.settings.exposure import bound_locally
from hvd.settings.table import Settings
from hvd.settings.tokens import Scope, Token, digest_of
from hvd.web.access import Peer, check_query, check_scope, peer_of, who
from tests.unit.web.asking import request, settings

LOCAL = ["127.0.0.1:8080", "127.8.9.10:1", "[::1]:8080", "localhost:8080", "LocalHost:8080", "unix:/run/hvd.sock"]
REACHABLE = [
    *("0.0.0.0:8080", "[::]:8080", "10.0.0.7:8080", "[fe80::1%lo]:80", "[::ffff:127.0.0.1]:80"),
    *("host.example:8080", "localhost.example:80", "127.0.0.1.example:80", "127.1:80", "0:80", "128.0.0.1:80"),
]
TOKENS = tuple(Token(scope.word, scope, digest_of(f"token-{scope.word}")) for scope in (Scope.READ, Scope.JOBS))


def check(req: falcon.Request, parts: Settings, needed: Scope = Scope.JOBS, *, admin: bool = False) -> None:
    check_scope(req, parts, needed, admin=admin)


def refusal(req: falcon.Request, parts: Settings, needed: Scope = Scope.JOBS, status: int = 401) -> falcon.HTTPError:
    """The error that this gets."""
    with pytest.raises(falcon.HTTPError) as caught:
        check(req, parts, needed)
    assert caught.value.status_code == status
    return caught.value


@pytest.mark.parametrize("bind", LOCAL)
def test_on_this_machine_a_token_is_asked_for_once_there_is_one(bind: str) -> None:
    """All of 127.0.0.0/8, ::1, the name localhost, and any unix socket; without one a token sent does no harm."""
    assert bound_locally(bind)
    check(request(), settings(bind))
    check(request(Authorization="Bearer other"), settings(bind))
    for parts in (
        settings(bind, token="secret"),
        settings(bind, tokens=TOKENS),
        settings(bind, tokens=()),
        settings(bind, reads="token"),
    ):
        refusal(request(), parts)
        refusal(request(Authorization="Bearer other"), parts)


@pytest.mark.parametrize("bind", REACHABLE)
def test_on_any_other_bind_the_token_is_asked_for(bind: str) -> None:
    """Names too: only a name server knows where they lead."""
    assert not bound_locally(bind)
    answer = refusal(request(), settings(bind, token="secret"))
    assert "Authorization: Bearer" in (answer.description or "")
    assert dict(answer.headers or {})["WWW-Authenticate"] == 'Bearer realm="hvd", scope="jobs"'
    check(request(Authorization="Bearer secret"), settings(bind, token="secret"), Scope.ADMIN)


@pytest.mark.parametrize(
    "given",
    [
        *("Bearer", "Bearer ", "Bearer secre", "Bearer secrets", "Bearer SECRET", "Basic secret"),
        *("secret", "Bearer secret x"),
    ],
)
def test_only_the_very_token_opens(given: str) -> None:
    """Neither a part of it nor more, nor another scheme."""
    for parts in (settings(token="secret"), settings(tokens=(Token("a", Scope.ADMIN, digest_of("secret")),))):
        refusal(request(Authorization=given), parts)


@pytest.mark.parametrize("given", ["Bearer secret", "bearer secret", "BEARER  secret "])
def test_the_scheme_has_no_case(given: str) -> None:
    """RFC 9110, section 11.1; blanks around the token are not part of it."""
    check(request(Authorization=given), settings("0.0.0.0:80", token="secret"))


def test_a_scope_contains_those_before_it_and_no_other() -> None:
    """403 says which one is needed (RFC 6750, section 3.1)."""
    parts = settings(tokens=TOKENS, reads="token")
    for token in TOKENS:
        req = request(Authorization=f"Bearer token-{token.name}")
        for needed in (Scope.READ, Scope.JOBS, Scope.ADMIN):
            if needed <= token.scope:
                check(req, parts, needed)
            else:
                headers = dict(refusal(req, parts, needed, 403).headers or {})
                expected = f'Bearer realm="hvd", error="insufficient_scope", scope="{needed.word}"'
                assert headers["WWW-Authenticate"] == expected


def test_reads_are_open_unless_the_setting_says_otherwise() -> None:
    """Whatever comes with them."""
    for req in (request(), request(Authorization="Bearer wrong")):
        check(req, settings("0.0.0.0:80", token="secret"), Scope.READ)
        refusal(req, settings(reads="token"), Scope.READ)
    check(request(), settings(reads="token"), Scope.NOTHING)


def test_a_browser_sends_its_token_as_a_subprotocol() -> None:
    """Percent-encoded where it has to be; no other offer is one."""
    parts = settings(token="se/cr=et,%", reads="token")
    check(request(Sec_WebSocket_Protocol="hvd, hvd.bearer.se%2Fcr%3Det%2C%25"), parts, Scope.READ)
    for offer in ("hvd", "hvd.bearer.", "hvd.bearer.wrong", "se%2Fcr%3Det%2C%25"):
        refusal(request(Sec_WebSocket_Protocol=offer), parts, Scope.READ)


@pytest.mark.parametrize("query", ["token=secret", "a=1&access_token=secret", "HVD_TOKEN=secret", "%74oken=&token="])
def test_a_token_in_the_query_is_refused_and_named(query: str) -> None:
    """But not repeated; a parameter that only ends like one is no token."""
    with pytest.raises(falcon.HTTPBadRequest) as caught:
        check_query(request(query=query))
    assert "token` " in (caught.value.description or "").lower().replace("`:", "` ")
    assert "secret" not in (caught.value.description or "")
    check_query(request(query="next_token=1&kind=token"))


def test_without_a_token_set_nothing_opens_to_others() -> None:
    """An empty token is none, not one that an empty header matches; the answer says what to do."""
    for given in ("Bearer ", "Bearer", "Bearer x"):
        answer = refusal(request(Authorization=given), settings("0.0.0.0:80"), status=403)
        assert "hvd token new" in (answer.description or "")


def test_a_token_outside_ascii_is_compared_as_bytes() -> None:
    """A header's bytes come to WSGI as latin-1."""
    parts = settings("0.0.0.0:80", token="schlüssel")
    check(request(Authorization="Bearer schlüssel".encode().decode("latin-1")), parts)
    refusal(request(Authorization="Bearer schlüssel"), parts)


@pytest.mark.parametrize(
    ("family", "end", "local"),
    [
        (socket.AF_INET, ("127.0.0.1", 8080), True),
        (socket.AF_INET, ("10.0.0.7", 8080), False),
        (socket.AF_INET6, ("::1", 8080, 0, 0), True),
        (socket.AF_INET6, ("::ffff:127.0.0.1", 8080, 0, 0), True),
        (socket.AF_INET6, ("::ffff:10.0.0.7", 8080, 0, 0), False),
        (socket.AF_INET6, ("fe80::1%eth0", 8080, 0, 0), False),
    ],
)
def test_the_connection_has_to_be_local_too(family: int, end: Any, local: bool) -> None:
    """gunicorn may have been given another address than the settings say, or a socket by systemd."""
    connection = SimpleNamespace(family=family, getsockname=lambda: end)
    if local:
        check(request(connection), settings())
    else:
        refusal(request(connection), settings(), status=403)
        check(request(connection, Authorization="Bearer t"), settings(token="t"))


def test_a_connection_that_is_gone_is_not_local() -> None:
    """getsockname(2) fails."""

    def gone() -> Any:
        raise OSError

    refusal(request(SimpleNamespace(family=socket.AF_INET, getsockname=gone)), settings(), status=403)


def test_the_daemons_user_needs_no_token_on_the_admin_socket() -> None:
    """It could read the file. A proxy that runs as that user, or as root, speaks for others."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        parts = settings("unix:/run/hvd/shop/admin.sock", token="secret", reads="token")
        assert peer_of(ours, parts) is Peer.OWNER
        check(request(ours), parts, Scope.ADMIN, admin=True)
        refusal(request(ours), parts, Scope.READ)
        for proxied in ({"X_Forwarded_For": "10.0.0.7"}, {"Forwarded": "for=10.0.0.7"}, {"Via": "1.1 proxy"}):
            assert who(request(ours, **proxied), parts, admin=True).scope == Scope.NOTHING
        assert who(request(ours, Authorization="Bearer wrong"), parts, admin=True).is_wrong


def test_where_the_token_decides_a_name_is_as_good() -> None:
    """A page that was led here doesn't know it."""
    parts = settings("0.0.0.0:80", "t")
    headers = {"Host": "hvd.example", "Origin": "http://hvd.example"}
    check(request(Authorization="Bearer t", **headers), parts)
    refusal(request(**headers), parts)


@pytest.mark.parametrize(
    ("headers", "here", "over_socket"),
    [
        ({}, True, True),
        ({"X_Forwarded_For": "127.0.0.1, ::1"}, True, False),
        ({"X_Forwarded_For": "203.0.113.9"}, False, False),
        ({"X_Forwarded_For": "203.0.113.9, 127.0.0.1"}, False, False),
        ({"X_Forwarded_For": "127.0.0.1", "Forwarded": "for=203.0.113.9"}, False, False),
        ({"X_Forwarded_For": "127.0.0.1", "X_Real_Ip": "203.0.113.9"}, False, False),
        *(({name: "x"}, False, False) for name in ("Forwarded", "X_Real_Ip", "Via", "X_Forwarded_Proto")),
    ],
)
def test_who_speaks_for_somebody_else_is_not_let_in(headers: dict[str, str], here: bool, over_socket: bool) -> None:
    """A proxy's process is not its client's; on a loopback address its client may be here too."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for bind, connection, is_let_in in (("unix:/run/x", ours, over_socket), ("127.0.0.1:8080", None, here)):
            scope = who(request(connection, **headers), settings(bind), admin=False).scope
            assert (scope == Scope.ADMIN) is is_let_in


def test_the_group_of_the_socket_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the setting's name or number, else the daemon's own; tests/unit/core/test_peers.py has real users."""
    stranger = peers.Peer(4711, 4712, frozenset({4713}))
    monkeypatch.setattr(peers.Peer, "of", lambda connection: stranger)
    with socket.socket() as any_socket:
        for group, is_in in (("4712", True), ("4713", True), ("4714", False), ("", False), ("nosuchgroup", False)):
            peer = peer_of(any_socket, settings("unix:/run/x", socket_group=group))
            assert peer is (Peer.MEMBER if is_in else Peer.STRANGER)
