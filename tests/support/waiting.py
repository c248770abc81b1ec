"""Waiting for a condition with a deadline."""

import ast
import contextlib
import inspect
import linecache
import os
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

PATIENCE = float(os.environ.get("TEST_PATIENCE", "1"))
"""All deadlines are multiplied by this, for slow machines."""

_MOST = 5  # times as long, at most, is waited on a crowded machine: a test has a deadline of its own

_LONGEST = 2000  # characters of a value that are told
_SCOPES = ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp


def until(condition: Callable[[], T], what: str, seconds: float = 15, pause: float = 0.02) -> T:
    """The first truthy value of `condition`; AssertionError naming `what` after so many seconds, and what a lambda's
    comparisons compare then. On a crowded machine it is waited for longer.
    """
    began = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        waited = time.monotonic() - began
        if waited > seconds * PATIENCE and waited > seconds * PATIENCE * crowding():
            last = f"(last value: {value!r}){compared(condition)}"
            raise AssertionError(f"not within {waited:.3g} s: {what} {last}")
        time.sleep(pause)


def crowding() -> float:
    """By how much everything takes longer than with a core for each two processes that want one; from 1 to _MOST."""
    return min(_MOST, max(1.0, os.getloadavg()[0] / (2 * (os.cpu_count() or 1))))


def compared(condition: Callable[[], object]) -> str:
    """What the comparisons of a lambda compare now, each in a line of its own: for the text of a failure."""
    return "".join(f"\n  {source} is {value}" for source, value in _operands(condition))


def _operands(condition: Callable[[], object]) -> Iterator[tuple[str, str]]:
    with contextlib.suppress(Exception):  # the failure is told all the same
        body = _body(condition)
        closure = inspect.getclosurevars(condition)
        names = {**closure.builtins, **closure.globals, **closure.nonlocals}
        for operand in _operands_in(body):
            with contextlib.suppress(Exception):
                value = eval(compile(ast.Expression(operand), "<operand>", "eval"), names)
                yield ast.unparse(operand), repr(value)[:_LONGEST]


def _body(condition: Callable[[], object]) -> ast.expr:
    """The smallest lambda's that has all that the condition's code was made of: there may be several in a line."""
    code = condition.__code__
    places = [place for place in code.co_positions() if place[0] and place[3]]
    start, end = min((place[0], place[2]) for place in places), max((place[1], place[3]) for place in places)
    module = ast.parse("".join(linecache.getlines(code.co_filename)))
    bodies = [node.body for node in ast.walk(module) if isinstance(node, ast.Lambda)]
    return max(
        (body for body in bodies if (body.lineno, body.col_offset) <= start and end <= _end(body)),
        key=lambda body: (body.lineno, body.col_offset),
    )


def _end(node: ast.expr) -> tuple[int, int]:
    return node.end_lineno or 0, node.end_col_offset or 0


def _operands_in(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Compare):
        yield from (operand for operand in (node.left, *node.comparators) if not isinstance(operand, ast.Constant))
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _SCOPES):
            yield from _operands_in(child)
