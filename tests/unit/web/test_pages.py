"""Which pages may ask for what changes something: those of hvd's own site, and those that are allowed by name."""

import falcon
import pytest

from hvd.web.pages import check_page
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
