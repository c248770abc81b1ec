"""Tokens: what each lets its bearer do, and the file that has them.

The file has a line for each token, with blanks between its fields; what follows a # is a comment:

    NAME SCOPE SHA256 [MADE]

NAME is for people. SCOPE is read, jobs or admin. SHA256 is the token's hash, in hex; MADE is when the token was made
(RFC 3339). The hash is no slow one, as it is for passwords: a token is 256 random bits, so nobody finds it by trying,
and each request with a token has to be answered at once.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from hvd.texts import quoted

LONGEST = 64
"""Characters of a token's name."""

MOST = 1000
"""Tokens in a file: each is compared with at each request that has one."""

_NAME = re.compile(rf"[A-Za-z0-9._-]{{1,{LONGEST}}}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Scope(IntEnum):
    """What a caller may do; each scope contains those before it."""

    NOTHING = 0
    READ = 1
    JOBS = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """As people write it."""
        return self.name.lower()


SCOPES = {scope.word: scope for scope in Scope if scope}
"""The scopes that a token can have, by the words of the file."""


@dataclass(frozen=True)
class Token:
    """A token, without itself: `digest` is its SHA-256 in hex, `made` when it was made, "" where nobody knows."""

    name: str
    scope: Scope
    digest: str
    made: str = ""

    def line(self) -> str:
        """As the file has it."""
        return " ".join(filter(None, (self.name, self.scope.word, self.digest, self.made)))


def digest_of(token: str) -> str:
    """The hash by which a token is known."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def is_name(text: str) -> bool:
    """Whether a token can have this name."""
    return _NAME.fullmatch(text) is not None


def parse_tokens(text: str) -> Sequence[Token]:
    """The tokens of a file. Raises ValueError with the line's number for one that can't be read."""
    tokens: dict[str, Token] = {}
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.partition("#")[0].split()
        if not fields:
            continue
        token = _token(fields, number)
        if token.name in tokens:
            raise ValueError(f"line {number} has the name {quoted(token.name)} once more: give each token its own")
        tokens[token.name] = token
    if len(tokens) > MOST:
        raise ValueError(f"{len(tokens)} tokens are in it, and {MOST} may be: revoke some")
    return tuple(tokens.values())


def _token(fields: Sequence[str], number: int) -> Token:
    name, scope, digest, *more = [*fields, "", "", ""][: max(3, len(fields))]
    if not is_name(name) or scope not in SCOPES or not _DIGEST.fullmatch(digest) or len(more) > 1:
        words = "|".join(SCOPES)
        raise ValueError(f"line {number} is no token: it must be NAME {words} SHA256, as `hvd token new` writes it")
    return Token(name, SCOPES[scope], digest, "".join(more))
