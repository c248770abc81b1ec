"""What --url takes, and what it says of the rest."""

import pytest

from hvd.cli.address import Address


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1", 8080, ""),
        ("http://[::1]:1/", "::1", 1, ""),
        ("http://name", "name", 80, ""),
        ("127.0.0.1:8080", "127.0.0.1", 8080, ""),
        ("localhost:8080", "localhost", 8080, ""),
        ("name", "name", 80, ""),
        ("[::1]:1", "::1", 1, ""),
        ("unix:a b/c", "localhost", 80, "a b/c"),
        ("unix:///run/x", "localhost", 80, "/run/x"),
    ],
)
def test_addresses(url: str, host: str, port: int, path: str) -> None:
    """HTTP with host and port, or a path; without a scheme it is HTTP too."""
    address = Address.parse(url)
    assert (address.host, address.port, address.unix_path, address.tls) == (host, port, path, False)


@pytest.mark.parametrize(
    ("typed", "url", "prefix"),
    [
        ("https://ops.example", "https://ops.example", ""),
        ("https://ops.example/hvd/", "https://ops.example/hvd", "/hvd"),
        ("https://ops.example/hvd/health", "https://ops.example/hvd", "/hvd"),
        ("https://ops.example/health/", "https://ops.example/health", "/health"),
        ("ops.example:9464/api/v1/snapshot", "http://ops.example:9464", ""),
        ("https://ops.example/ü", "https://ops.example/%C3%BC", "/%C3%BC"),
        ("http://ops.example/hvd/#from=1&to=2", "http://ops.example/hvd", "/hvd"),
    ],
)
def test_a_path_is_a_prefix(typed: str, url: str, prefix: str) -> None:
    """Without hvd's own paths, unless a slash says that one is the prefix; and without the page's place in it."""
    address = Address.parse(typed)
    assert (address.url, address.prefix, address.tls) == (url, prefix, url.startswith("https"))


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://a", "a"),
        ("https://a:443", "a"),
        ("https://a:80", "a:80"),
        ("http://[fe80::1%eth0]:81", "[fe80::1]:81"),
        ("unix:/x", "localhost"),
    ],
)
def test_the_header_host(url: str, authority: str) -> None:
    """Without the port that goes without saying."""
    assert Address.parse(url).authority == authority


@pytest.mark.parametrize(
    "url",
    [
        *("", "http://", "http://:80", ":8080", "8080", "http://a:0", "http://a:x", "http://a:99999", "http://a..b"),
        *("http://a?b", "http://a\x1b", "http://a b", "http://[", "unix:", "unix:\n", "ftp://a", "ws://a/ws"),
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    """Saying what would be one."""
    with pytest.raises(ValueError, match=r"is no address of a daemon.*: give http://HOST:PORT, .* or unix:PATH"):
        Address.parse(url)


def test_what_is_meant_is_said() -> None:
    """A path of a socket, an IPv6 address; a password isn't repeated."""
    with pytest.raises(ValueError, match=r"give unix:/run/hvd/admin\.sock"):
        Address.parse("/run/hvd/admin.sock")
    with pytest.raises(ValueError, match=r"stands in brackets, http://\[::1\]:8080"):
        Address.parse("::1:8080")
    with pytest.raises(ValueError, match="a token goes by --token-file") as caught:
        Address.parse("https://ops:secret@a/hvd")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("bind", "url"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("0.0.0.0:81", "http://127.0.0.1:81"),
        ("[::]:82", "http://[::1]:82"),
        ("unix:/run/x", "unix:/run/x"),
    ],
)
def test_a_bind_is_reached_from_its_own_machine(bind: str, url: str) -> None:
    """Bound to all addresses means reachable at the local one."""
    assert Address.of_bind(bind).url == url
