"""What an endpoint is made of."""

from hvd.web.here import Here
from hvd.web.operations import Endpoint, Operation, json_of


def test_json_is_a_media_type() -> None:
    """Of whatever the answer is."""
    assert json_of(int) == {"application/json": int}


def test_an_endpoint_is_the_services_and_listed_unless_it_says_otherwise() -> None:
    """So a new one is seen."""
    endpoint = Endpoint("/a", "an a", lambda here: Here())
    assert (endpoint.admin_only, endpoint.needs_kinds, endpoint.listed, endpoint.operations) == (False, False, True, {})


def test_an_operation_takes_nothing_unless_it_says_otherwise() -> None:
    """Neither parameters nor a body, and everybody may ask."""
    operation = Operation({200: {}})
    assert (operation.parameters, operation.body, operation.problems, operation.scope) == ((), None, (), None)
