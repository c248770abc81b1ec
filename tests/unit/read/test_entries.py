"""What a row says of a request in progress."""

import pytest

from hvd.core.slots import Entry
from hvd.read.entries import request_of


@pytest.mark.parametrize(
    ("text", "method", "path"),
    [("GET /items/1", "GET", "/items/1"), ("GET /a b", "GET", "/a b"), ("(unparsed)", "(unparsed)", ""), ("", "", "")],
)
def test_an_entry_tells_method_path_and_age(text: str, method: str, path: str) -> None:
    """A path may have spaces; what was no request yet has none. The age is to the millisecond."""
    assert request_of(Entry(text, 1.23456)) == {"method": method, "path": path, "age_seconds": 1.235}
