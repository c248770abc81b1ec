"""Frames of Python stacks: which are of an app, and where a thread stands, in words. Pure."""

import re
from collections.abc import Sequence
from typing import TypedDict

_LIBRARY = re.compile(r"(/(site|dist)-packages/|/lib(64)?/python\d|^<)")
"""Paths of what is installed, of the standard library, and of code that has no file: `<frozen runpy>`."""


class Frame(TypedDict):
    """A frame of a stack; `line` is 0 where it is not known."""

    file: str
    line: int
    function: str


def is_of_app(file: str) -> bool:
    """True for code that is neither installed nor Python's nor hvd's own: where an operator looks first."""
    return bool(file) and not _LIBRARY.search(file) and not file.startswith(_HVD)


_HVD = is_of_app.__code__.co_filename.removesuffix("read/frames.py")
"""hvd's folder, wherever it was compiled from: a running daemon's code is in an archive (hvd/daemon/code.py)."""


def app_frame(frames: Sequence[Frame]) -> Frame | None:
    """The innermost frame that is an app's own code; the innermost of all where none is; None without frames."""
    own = (frame for frame in frames if is_of_app(frame["file"]))
    return next(own, frames[0] if frames else None)


def is_waiting_loop(frames: Sequence[Frame]) -> bool:
    """True for a thread whose event loop has nothing to do: that says nothing of the requests that wait in it."""
    files = [frame["file"] for frame in frames[:2]]
    is_asyncio = files[-1:] and files[-1].endswith("/asyncio/base_events.py") and files[0].endswith("/selectors.py")
    return bool(is_asyncio) or (bool(files) and files[0].endswith("/asyncio/runners.py"))  # uvloop has no frames


def place(frame: Frame) -> str:
    """`views.py:12 checkout`, of the whole path."""
    return f"{frame['file']}:{frame['line']} {frame['function']}"


def describe(frames: Sequence[Frame]) -> str:
    """Where a thread stands, for a log line: the app's innermost frame, and the innermost of all where it is another's;
    "" without frames.
    """
    own = app_frame(frames)
    if own is None:
        return ""
    return place(own) if own is frames[0] else f"{place(own)}, in {place(frames[0])}"
