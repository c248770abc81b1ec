"""Which pages may ask for what changes something: those of hvd's own site, and those that are allowed by name."""

import socket

import falcon
import pytest

from hvd.web.pages import check_host, check_page
from tests.unit.web.asking import request, settings


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
def test_programs_and_own_pages_pass(headers: dict[str, str], bind: str) -> None:
    """No Origin, or the Host's own; behind a unix socket is a proxy, which knows its name."""
    check_page(request(**headers), settings(bind))


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


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("bind", ["127.0.0.1:8080", "unix:/run/hvd.sock", "0.0.0.0:8080"])
def test_pages_of_others_are_refused_on_every_bind(bind: str, headers: dict[str, str]) -> None:
    """The right token doesn't help them; nor does it that anybody's page may open /ws."""
    for origins in ((), ("*",), ("https://dash.example",)):
        with pytest.raises(falcon.HTTPForbidden):
            check_page(request(Authorization="Bearer t", **headers), settings(bind, "t", origins))


def test_an_origin_that_is_listed_passes() -> None:
    """From another site, as its browser says; own pages go on passing."""
    parts = settings(origins=("https://dash.example",))
    check_page(request(Origin="https://dash.example", Sec_Fetch_Site="cross-site"), parts)
    check_page(request(Origin="http://127.0.0.1:8080"), parts)


@pytest.mark.parametrize(
    "host", ["evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "xlocalhost"]
)
def test_a_name_that_was_led_here_is_refused(host: str) -> None:
    """DNS rebinding: Host and Origin agree, since the page's own name leads to 127.0.0.1 by now."""
    headers = {"Host": host, "Origin": f"http://{host}", "Sec_Fetch_Site": "same-origin"}
    with pytest.raises(falcon.HTTPForbidden) as caught:
        check_page(request(**headers), settings())
    assert "HVD_ALLOWED_ORIGINS" in (caught.value.description or "")
    check_page(request(**headers), settings(origins=(f"http://{host}",)))


class End:
    """A connection's own end."""

    def __init__(self, *address: object) -> None:
        self.family = {0: socket.AF_UNIX, 2: socket.AF_INET, 4: socket.AF_INET6}[len(address)]
        self._address = address

    def getsockname(self) -> tuple[object, ...]:
        return self._address


HERE = End("127.0.0.1", 8080)
PROXY = {"X_Forwarded_For": "203.0.113.9"}


@pytest.mark.parametrize(
    ("host", "end", "headers", "passes"),
    [
        *(
            (name, HERE, {}, True)
            for name in ("127.0.0.1:8080", "LOCALHOST:9", "x.localhost", "[::1]:8080", "10.0.0.7", "", "test")
        ),
        *((name, HERE, {}, False) for name in ("evil.example:8080", "evil.example", "127.1.evil.example")),
        (f"{socket.gethostname()}:8080", HERE, {}, True),
        # a proxy's client names the proxy's port; a browser that connects here names this one, whatever it sends along
        ("hvd.example", HERE, PROXY, True),
        ("hvd.example:8000", HERE, PROXY, True),
        ("evil.example:8080", HERE, PROXY, False),
        ("evil.example:8080", HERE, {**PROXY, "X_Forwarded_Host": "127.0.0.1:8080", "Via": "1.1 x"}, False),
        *(("evil.example", End("127.0.0.1", port), PROXY, False) for port in (80, 443)),
        ("evil.example:8080", End("::1", 8080, 0, 0), {}, False),
        ("evil.example:8080", End("::ffff:127.0.0.1", 8080, 0, 0), {}, False),
        # where others come too, or no browser can
        ("hvd.example:8080", End("10.0.0.7", 8080), {}, True),
        ("hvd.example", End(), {}, True),
        ("dash.example", HERE, {}, True),
        ("dash.example:8080", HERE, {}, False),
    ],
)
def test_a_name_in_host_was_not_led_here(host: str, end: End, headers: dict[str, str], passes: bool) -> None:
    """Of everything that tells figures: a page of such a name sends no Origin where it asks itself."""
    req, parts = request(end, Host=host, **headers), settings(origins=("https://dash.example",))
    if passes:
        check_host(req, parts)
    else:
        with pytest.raises(falcon.HTTPForbidden, match=r"^<HTTPForbidden: 403"):
            check_host(req, parts)


@pytest.mark.parametrize(
    ("site", "mode", "passes"),
    [("same-origin", "cors", True), ("same-site", "navigate", True), ("same-site", "no-cors", False)]
    + [("cross-site", mode, False) for mode in ("navigate", "no-cors", "cors")],
)
def test_a_page_that_names_no_origin_is_known_by_its_site(site: str, mode: str, passes: bool) -> None:
    """As that of an image, or of a link."""
    req = request(Sec_Fetch_Site=site, Sec_Fetch_Mode=mode)
    if passes:
        check_page(req, settings())
    else:
        with pytest.raises(falcon.HTTPForbidden):
            check_page(req, settings())
