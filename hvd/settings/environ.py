"""The process's environment, in a module that imports quickly: variables.py and others read it by this one."""

import os
from collections.abc import Iterable, Mapping


def environment() -> Mapping[str, str]:
    """All variables, as they are at each look-up."""
    return os.environ


def take_out(names: Iterable[str]) -> dict[str, str]:
    """Remove these variables, so that no process started from now on inherits them -> those that were set."""
    return {name: os.environ.pop(name) for name in names if name in os.environ}


def set_here(name: str, text: str) -> None:
    """Set a variable for this process and those that it forks: programs that it executes don't inherit it."""
    os.environ[name] = text
    os.unsetenv(name)


def tell_children(name: str, text: str) -> None:
    """Set a variable: all that this process executes from now on gets it."""
    os.environ[name] = text
