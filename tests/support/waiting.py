"""Waiting for a condition with a deadline."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = float(os.environ.get("TEST_PATIENCE", "1"))
"""All deadlines are multiplied by this, for slow machines."""


def until(condition: Callable[[], T], what: str, seconds: float = 15, pause: float = 0.02) -> T:
    """The first truthy value of `condition`; AssertionError naming `what` after so many seconds."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds * PATIENCE:g} s: {what} (last value: {value!r})")
        time.sleep(pause)
