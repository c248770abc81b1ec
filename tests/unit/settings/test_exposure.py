"""Addresses that other machines reach are refused, unless a token is asked for there."""

from dataclasses import replace
from typing import Any

import pytest

from hvd.settings.exposure import access_of, asks_for_tokens, exposures
from hvd.settings.loader import load
from hvd.settings.tokens import Scope, Token

USUAL = load({}).settings
TOKEN = Token("a", Scope.READ, "0" * 64)


@pytest.mark.parametrize("address", ["0.0.0.0:80", ":80", "[::]:80", "10.1.2.3:80", "host.example:80", "fd://7"])
def test_an_address_of_others_is_named_with_what_to_do(address: str) -> None:
    """By its key; what only this machine reaches is not."""
    local = ("admin_bind", "unix:/run/hvd.sock"), ("admin_bind", ""), ("bind", "127.0.0.1:80")
    (problem,) = exposures(USUAL, [*local, ("bind", address)])
    assert problem.startswith(f"bind is {address}, ")
    for remedy in ("hvd token new", "127.0.0.1", "HVD_ALLOW_PUBLIC"):
        assert remedy in problem


def test_where_a_token_is_asked_for_any_address_will_do() -> None:
    """One of the settings, one of the file, none left in the file, or none yet where reads need one."""
    assert not asks_for_tokens(USUAL)
    asking: list[dict[str, Any]] = [{"token": "x" * 16}, {"tokens": (TOKEN,)}, {"tokens": ()}, {"reads": "token"}]
    for settings in (replace(USUAL, **values) for values in asking):
        assert asks_for_tokens(settings)
        assert not list(exposures(settings, [("bind", "0.0.0.0:80")]))


def test_who_may_read_has_another_name_once_somebody_else_may() -> None:
    """None while anybody may; the order of the tokens says nothing."""
    other = Token("b", Scope.ADMIN, "1" * 64)
    assert access_of(replace(USUAL, tokens=(TOKEN,))) == ""
    closed = replace(USUAL, reads="token")
    names = {access_of(replace(closed, tokens=tokens)) for tokens in ((), (TOKEN,), (TOKEN, other), (other, TOKEN))}
    assert len(names) == 3
    assert access_of(closed) != access_of(replace(closed, token="x" * 16))
