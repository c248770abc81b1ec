"""Arguments of jobs' commands: texts with places for parameters.

`{file}` is the place of a parameter, `{{` and `}}` stand for braces.
"""

import re
from functools import cache
from itertools import takewhile
from typing import NamedTuple

_PIECE = re.compile(r"(?P<brace>\{\{|\}\})|\{(?P<place>[^{}]*)\}|(?P<stray>[{}])|(?P<text>[^{}]+)")


class ArgumentPiece(NamedTuple):
    """A part of an argument: a place, whose text is a parameter's name, or a text that stays as it is."""

    text: str
    is_place: bool


@cache
def pieces_of(argument: str) -> tuple[ArgumentPiece, ...]:
    """An argument's parts. Raises ValueError for a stray brace."""
    pieces: list[ArgumentPiece] = []
    for match in _PIECE.finditer(argument):
        if match["stray"]:
            raise ValueError("a brace that belongs to no place has to be written twice")
        if match["place"] is not None:
            pieces.append(ArgumentPiece(match["place"], is_place=True))
        else:
            pieces.append(ArgumentPiece(match["text"] or match["brace"][0], is_place=False))
    return tuple(pieces)


def places_in(argument: str) -> list[str]:
    """The parameters that have a place in it. Raises ValueError for a stray brace."""
    return [piece.text for piece in pieces_of(argument) if piece.is_place]


def leading_places(argument: str) -> list[str]:
    """The parameters that may begin an argument: those whose places come before any other text of it."""
    return [piece.text for piece in takewhile(lambda piece: piece.is_place, pieces_of(argument))]
