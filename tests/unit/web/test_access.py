"""Who may change things: what each bind asks for, which pages are refused, and that the connection counts too."""

import socket
from types import SimpleNamespace
from typing import Any

import falcon
import pytest
from falcon import testing

from hvd.web.access import bound_locally, check_change, check_page

LOCAL = ["127.0.0.1:8080", "127.8.9.10:1", "[::1]:8080", "localhost:8080", "LocalHost:8080", "unix:/run/hvd.sock"]
REACHABLE = [
    *("0.0.0.0:8080", "[::]:8080", "10.0.0.7:8080", "[fe80::1%lo]:80", "[::ffff:127.0.0.1]:80"),
    *("host.example:8080", "localhost.example:80", "127.0.0.1.example:80", "127.1:80", "0:80", "128.0.0.1:80"),
]


def request(connection: object = None, **headers: str) -> falcon.Request:
    """A request with these headers (underscores stand for hyphens), to 127.0.0.1:8080 unless they say otherwise."""
    given = {"Host": "127.0.0.1:8080"} | {name.replace("_", "-"): value for name, value in headers.items()}
    environ = testing.create_environ(method="POST", headers=given)
    if connection is not None:
        environ["gunicorn.socket"] = connection
    return falcon.Request(environ)


def settings(bind: str = "127.0.0.1:8080", token: str = "", origins: tuple[str, ...] = ()) -> Any:
    """The settings that decide."""
    return SimpleNamespace(bind=bind, token=token, allowed_origins=origins)


def refusal(req: falcon.Request, parts: Any) -> falcon.HTTPForbidden:
    """The 403 that this gets."""
    with pytest.raises(falcon.HTTPForbidden) as caught:
        check_change(req, parts)
    return caught.value


@pytest.mark.parametrize("bind", LOCAL)
def test_on_this_machine_no_token_is_asked_for(bind: str) -> None:
    """All of 127.0.0.0/8, ::1, the name localhost, and any unix socket; a token sent all the same does no harm."""
    assert bound_locally(bind)
    check_change(request(), settings(bind, token="secret"))
    check_change(request(Authorization="Bearer other"), settings(bind, token="secret"))


@pytest.mark.parametrize("bind", REACHABLE)
def test_on_any_other_bind_the_token_is_asked_for(bind: str) -> None:
    """Names too: only a name server knows where they lead."""
    assert not bound_locally(bind)
    answer = refusal(request(), settings(bind, token="secret"))
    assert "Authorization: Bearer" in (answer.description or "")
    assert dict(answer.headers or {})["WWW-Authenticate"] == "Bearer"
    check_change(request(Authorization="Bearer secret"), settings(bind, token="secret"))


@pytest.mark.parametrize(
    "given",
    [
        *("Bearer", "Bearer ", "Bearer secre", "Bearer secrets", "Bearer SECRET", "Basic secret"),
        *("secret", "Bearer secret x"),
    ],
)
def test_only_the_very_token_opens(given: str) -> None:
    """Neither a part of it nor more, nor another scheme."""
    refusal(request(Authorization=given), settings("0.0.0.0:80", token="secret"))


@pytest.mark.parametrize("given", ["Bearer secret", "bearer secret", "BEARER  secret "])
def test_the_scheme_has_no_case(given: str) -> None:
    """RFC 9110, section 11.1; blanks around the token are not part of it."""
    check_change(request(Authorization=given), settings("0.0.0.0:80", token="secret"))


def test_without_a_token_set_nothing_opens() -> None:
    """An empty token is none, not one that an empty header matches; the answer says what to do."""
    for given in ("Bearer ", "Bearer", "Bearer x"):
        assert "set HVD_TOKEN" in (refusal(request(Authorization=given), settings("0.0.0.0:80")).description or "")


def test_a_token_outside_ascii_is_compared_as_bytes() -> None:
    """A header's bytes come to WSGI as latin-1."""
    parts = settings("0.0.0.0:80", token="schlüssel")
    check_change(request(Authorization="Bearer schlüssel".encode().decode("latin-1")), parts)
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
        (socket.AF_UNIX, "/run/hvd.sock", True),
    ],
)
def test_the_connection_has_to_be_local_too(family: int, end: Any, local: bool) -> None:
    """gunicorn may have been given another address than the settings say, or a socket by systemd."""
    connection = SimpleNamespace(family=family, getsockname=lambda: end)
    if local:
        check_change(request(connection), settings())
    else:
        refusal(request(connection), settings())
        check_change(request(connection, Authorization="Bearer t"), settings(token="t"))


def test_a_connection_that_is_gone_is_not_local() -> None:
    """getsockname(2) fails."""

    def gone() -> Any:
        raise OSError

    refusal(request(SimpleNamespace(family=socket.AF_INET, getsockname=gone)), settings())


BOTH = pytest.mark.parametrize("check", [check_change, check_page])


@BOTH
@pytest.mark.parametrize(
    ("headers", "bind"),
    [
        ({}, "127.0.0.1:8080"),
        ({"Origin": "http://127.0.0.1:8080"}, "127.0.0.1:8080"),
        ({"Origin": "http://127.0.0.1:8080", "Sec_Fetch_Site": "same-origin"}, "127.0.0.1:8080"),
        ({"Sec_Fetch_Site": "none"}, "127.0.0.1:8080"),
        ({"Origin": "http://LOCALHOST:8080", "Host": "localhost:8080"}, "127.0.0.1:8080"),
        ({"Origin": "http://hvd.localhost", "Host": "hvd.localhost"}, "127.0.0.1:8080"),
        ({"Origin": "http://[::1]:8080", "Host": "[::1]:8080"}, "[::1]:8080"),
        ({"Origin": "https://hvd.example", "Host": "hvd.example"}, "unix:/run/hvd.sock"),
    ],
)
def test_programs_and_own_pages_pass(check: Any, headers: dict[str, str], bind: str) -> None:
    """No Origin, or the Host's own; behind a unix socket is a proxy, which knows its name."""
    check(request(**headers), settings(bind))


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "http://127.0.0.1:9090"},
    {"Origin": "http://localhost:8080"},
    {"Origin": "null"},
    {"Origin": "null", "Host": ""},
    {"Origin": ""},
    {"Origin": "file://"},
    {"Origin": "http://[::1"},
    {"Origin": "http://127.0.0.1:8080@evil.example"},
    {"Origin": "http://user@127.0.0.1:8080"},
    {"Origin": "http://127.0.0.1:8080, https://evil.example"},
    {"Sec_Fetch_Site": "cross-site"},
]


@BOTH
@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("bind", ["127.0.0.1:8080", "unix:/run/hvd.sock", "0.0.0.0:8080"])
def test_pages_of_others_are_refused_on_every_bind(check: Any, bind: str, headers: dict[str, str]) -> None:
    """The right token doesn't help them; nor does it that anybody's page may open /ws."""
    for origins in ((), ("*",), ("https://dash.example",)):
        with pytest.raises(falcon.HTTPForbidden):
            check(request(Authorization="Bearer t", **headers), settings(bind, "t", origins))


@BOTH
def test_an_origin_that_is_listed_passes(check: Any) -> None:
    """From another site, as its browser says; own pages go on passing."""
    parts = settings(origins=("https://dash.example",))
    check(request(Origin="https://dash.example", Sec_Fetch_Site="cross-site"), parts)
    check(request(Origin="http://127.0.0.1:8080"), parts)


@BOTH
@pytest.mark.parametrize(
    "host", ["evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "xlocalhost"]
)
def test_a_name_that_was_led_here_is_refused(check: Any, host: str) -> None:
    """DNS rebinding: Host and Origin agree, since the page's own name leads to 127.0.0.1 by now."""
    headers = {"Host": host, "Origin": f"http://{host}", "Sec_Fetch_Site": "same-origin"}
    with pytest.raises(falcon.HTTPForbidden) as caught:
        check(request(**headers), settings())
    assert "HVD_ALLOWED_ORIGINS" in (caught.value.description or "")
    check(request(**headers), settings(origins=(f"http://{host}",)))


def test_where_the_token_decides_a_name_is_as_good() -> None:
    """A page that was led here doesn't know it."""
    parts = settings("0.0.0.0:80", "t")
    headers = {"Host": "hvd.example", "Origin": "http://hvd.example"}
    check_change(request(Authorization="Bearer t", **headers), parts)
    refusal(request(**headers), parts)
