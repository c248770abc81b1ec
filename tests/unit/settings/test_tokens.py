"""The file of tokens: what a line says, and what is refused."""

import pytest

from hvd.settings.tokens import Scope, Token, digest_of, is_name, parse_tokens

DIGEST = digest_of("secret")
MADE = "2026-01-23T20:30:00Z"


def test_lines_are_tokens() -> None:
    """With comments and empty lines between; what `line` writes is read again."""
    first, second = Token("prometheus", Scope.READ, DIGEST, MADE), Token("ci.2-b_c", Scope.ADMIN, digest_of("b"))
    text = f"# tokens\n\n{first.line()}\n  {second.line()}  # of the pipeline\n"
    assert parse_tokens(text) == (first, second)
    assert parse_tokens("") == ()
    assert "secret" not in text


@pytest.mark.parametrize(
    "line",
    [
        *("a read", f"a write {DIGEST}", f"a READ {DIGEST}", f"a nothing {DIGEST}", "a read secret"),
        *(f"a read {DIGEST.upper()}", f"a read {DIGEST[1:]}", f"a/b read {DIGEST}", f"a read {DIGEST} now more"),
        f"{'x' * 65} read {DIGEST}",
    ],
)
def test_what_is_no_token_is_named_by_its_line(line: str) -> None:
    """And not repeated: it may be a token itself, put there by mistake."""
    with pytest.raises(ValueError, match="line 2 is no token") as caught:
        parse_tokens(f"# first\n{line}")
    assert line not in str(caught.value)


def test_names_are_given_once() -> None:
    """Else `revoke` would end two."""
    with pytest.raises(ValueError, match='line 2 has the name "a"'):
        parse_tokens(f"a read {DIGEST}\na jobs {DIGEST}")
    with pytest.raises(ValueError, match="1001 tokens"):
        parse_tokens("\n".join(f"t{number} read {DIGEST}" for number in range(1001)))


def test_scopes_grow() -> None:
    """Each contains those before it."""
    assert Scope.NOTHING < Scope.READ < Scope.JOBS < Scope.ADMIN
    assert [scope.word for scope in Scope] == ["nothing", "read", "jobs", "admin"]
    assert [is_name(name) for name in ("a", "", "a b")] == [True, False, False]


def test_any_text_has_a_hash() -> None:
    """What a client sends may be no text at all."""
    assert digest_of("\udcff") != digest_of("ÿ")
