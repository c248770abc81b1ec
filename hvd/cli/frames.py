"""What a daemon sent of stacks and of requests in progress, as text. Pure."""

from collections.abc import Mapping

from hvd.cli.answers import Json, objects
from hvd.read.frames import is_of_app
from hvd.texts import UNKNOWN, digits, figure, number, plain, short_duration

POOL, LOOP = "idle in the pool", "waiting for connections"
_IDLE = (
    ("/concurrent/futures/thread.py", "_worker", POOL),
    ("/hvd/daemon/clients/connections.py", "wait", LOOP),
    ("/selectors.py", "select", LOOP),
    ("/gunicorn/workers/sync.py", "wait", LOOP),
)
"""File and function of the innermost frame of threads that wait for work (read in CPython 3.11 to 3.14, and in gunicorn
27.0.1): the queue of a pool, and select(2), are written in C, and have no frame.
"""


def place(frame: Json, encoding: str = "utf-8") -> str:
    """`/srv/shop/report.py:41 in build`."""
    line = figure(frame.get("line"), digits)
    return f"{plain(frame.get('file'), encoding)}:{line} in {plain(frame.get('function'), encoding, 100)}"


def short_place(stack: object, encoding: str = "utf-8") -> str:
    """The innermost frame of the app, or the innermost of all, by its file's name: `report.py:41 build`; "" without."""
    frames = objects(stack)
    if not frames:
        return ""
    frame = next((frame for frame in frames if is_of_app(str(frame.get("file", "")))), frames[0])
    file = str(frame.get("file", "")).rpartition("/")[2]
    line = figure(frame.get("line"), digits)
    return f"{plain(file, encoding, 60)}:{line} {plain(frame.get('function'), encoding, 60)}"


def idleness(thread: Json) -> str:
    """POOL or LOOP for a thread that has no request and waits for one; "" for all others."""
    frames = objects(thread.get("frames"))
    if isinstance(thread.get("request"), Mapping) or not frames:
        return ""
    file, function = str(frames[0].get("file")), str(frames[0].get("function")).rpartition(".")[2]
    return next((words for end, name, words in _IDLE if file.endswith(end) and function == name), "")


def request_name(request: Json, encoding: str = "utf-8") -> str:
    """What a request in progress is: `GET /slow`."""
    return f"{plain(request.get('method'), encoding, 12)} {plain(request.get('path'), encoding)}"


def request_text(request: Json, encoding: str = "utf-8") -> str:
    """And for how long: `GET /slow 1.2s`."""
    return f"{request_name(request, encoding)} {age_text(request.get('age_seconds'))}"


def age_text(age: object) -> str:
    """`1.2s`, from a minute on `3m 4s`."""
    seconds = number(age)
    if seconds is None:
        return UNKNOWN
    return f"{seconds:.1f}s" if seconds < 60 else short_duration(seconds)
