"""The table of endpoints: each once, and each answered."""

from hvd.web.endpoints import ENDPOINTS, endpoints_of
from hvd.web.here import Here


def test_every_path_is_there_once() -> None:
    """A path given twice would replace a resource without a word."""
    paths = [endpoint.path for endpoint in endpoints_of(admin=True)]
    assert len(paths) == len(set(paths))


def test_every_endpoint_has_a_resource_and_a_line() -> None:
    """The line is shown at `/`, so it is short."""
    for endpoint in endpoints_of(admin=True):
        assert [name for name in dir(endpoint.resource(Here())) if name.startswith("on_")], endpoint.path
        assert 0 < len(endpoint.about) < 80


def test_the_services_address_has_not_what_is_the_admins() -> None:
    """And the admin address has all."""
    assert {endpoint.path for endpoint in ENDPOINTS} < {endpoint.path for endpoint in endpoints_of(admin=True)}
    assert not any(endpoint.admin_only for endpoint in endpoints_of(admin=False))
