"""Whatever shape a WSGI app has: under hvd it works as it does without, and is counted as its clients see it."""

from collections import Counter
from pathlib import Path

import pytest

from tests.support.guest import Guest
from tests.support.http import Connection, connect
from tests.support.waiting import until

SHAPES = '''\
import errno, os, sys

TEXT = [("Content-Type", "text/plain")]
FILE = [*TEXT, ("Content-Length", "300000")]
reads = []

class Noting:
    """A file that says how it is read."""
    def __init__(self):
        self._file = open(os.path.dirname(__file__) + "/large", "rb")
        self.fileno, self.close, self.seek = self._file.fileno, self._file.close, self._file.seek
    def read(self, size=-1):
        reads.append(size)
        return self._file.read(size)

def generator(environ, start_response):
    start_response("202 Accepted", TEXT)
    yield b"one"
    yield b"two"

def write(environ, start_response):
    start_response("203 By write", TEXT)(b"one")
    return [b"two"]

def exc_info(environ, start_response):
    start_response("200 OK", TEXT)
    try:
        raise KeyError
    except KeyError:
        start_response("404 Not Found", TEXT, sys.exc_info())
    yield b"none"

def middle(environ, start_response):
    start_response("209 Then it fails", TEXT)
    yield b"one"
    raise ValueError("as asked")

def endless(environ, start_response):
    start_response("210 Endless", TEXT)
    while True:
        yield b"x" * 100000

class Closing:
    """It fails, and so does its end."""
    def __init__(self, environ, start_response):
        start_response("200 OK", TEXT)
    def __iter__(self):
        raise ValueError("as asked")
    def close(self):
        raise BrokenPipeError(errno.EPIPE, "as asked")

class Late(BaseException):
    """As gevent's Timeout."""

def late(environ, start_response):
    start_response("211 Then it is late", TEXT)
    yield b"one"
    raise Late("as asked")

def raises(environ, start_response):
    start_response("200 OK", TEXT)
    raise ValueError("as asked")

SHAPES = {
    "/list": lambda environ, start_response: (start_response("200 OK", TEXT), [b"one", b"two"])[1],
    "/tuple": lambda environ, start_response: (start_response("201 Made", TEXT), (b"one", b"two"))[1],
    "/file": lambda environ, start_response: (
        start_response("206 Partial", FILE), environ["wsgi.file_wrapper"](Noting())
    )[1],
    "/reads": lambda environ, start_response: (start_response("200 OK", TEXT), [str(reads).encode()])[1],
    "/empty": lambda environ, start_response: (start_response("204 Empty", []), [])[1],
    "/unchanged": lambda environ, start_response: (start_response("304 Not Modified", []), iter(()))[1],
    "/generator": generator, "/write": write, "/exc_info": exc_info, "/middle": middle, "/endless": endless,
    "/next": lambda environ, start_response: next(iter([])), "/closing": Closing, "/late": late,
    "/raises": raises, "/static/raises": raises,
}
SHAPES["/static/list"] = SHAPES["/list"]

def app(environ, start_response):
    return SHAPES[environ["PATH_INFO"]](environ, start_response)
'''

ANSWERS = {
    **dict(zip(("/list", "/tuple", "/generator", "/write", "/empty"), range(200, 205), strict=True)),
    **dict(zip(("/file", "/unchanged", "/exc_info", "/raises"), (206, 304, 404, 500), strict=True)),
}


def counted(guest: Guest) -> Counter[int]:
    """Responses by status."""
    statuses: Counter[int] = Counter()
    for (_, status), number in guest.counted().items():
        statuses[status] += number
    return statuses


@pytest.mark.parametrize("worker_class", ["sync", "gthread", "gevent"])
def test_each_shape_works_and_counts(tmp_path: Path, worker_class: str) -> None:
    """Bodies, errors, files; clients that leave; what gunicorn answers itself stays its page; excluded paths don't."""
    (tmp_path / "large").write_bytes(b"x" * 300_000)
    arguments = ("-k", worker_class, "--threads", "2") if worker_class == "gthread" else ("-k", worker_class)
    with Guest(tmp_path, files={"shop.py": SHAPES}, arguments=arguments, workers=1, http_exclude="/static/.*") as guest:
        with guest.connection() as connection:
            answers = {path: connection.get(path) for path in ANSWERS}
            assert {path: answer.status for path, answer in answers.items()} == ANSWERS
            assert answers["/file"].body == b"x" * 300_000
            for path in ("/list", "/tuple", "/generator", "/write"):
                assert answers[path].body == b"onetwo"
            assert answers["/raises"].body.startswith(b"<html>")
            assert connection.request("HEAD", "/list").status == 200
            assert sum(connection.get("/reads").json()) in (0, 300_000), "the server sends the file, to its last byte"
            assert connection.get("/static/list").status == 200
            assert connection.get("/static/raises").body.startswith(b"<html>")
            assert connection.exchange(b"GET /list HTTP/1.1\r\n\r\n").status == 200
            assert connection.exchange(b"GET\r\n\r\n").body.startswith(b"<html>")
        for path in ("/next", "/closing"):  # nobody answers them, and nothing of them goes on
            with Connection(guest.address) as connection, pytest.raises(OSError, match="ended before"):
                connection.get(path)
        guest.wait_idle()
        leave(guest)
        late = 0
        if worker_class != "gthread":  # which ends with it
            late = 1
            with Connection(guest.address) as connection, pytest.raises(ValueError, match="500 Internal Server Error"):
                connection.get("/late")  # gunicorn's answer is where the next chunk should be
        guest.wait_idle()
        assert counted(guest) == Counter(ANSWERS.values()) + Counter({200: 3, 209: 1, 210: 1, 211: late, 400: 1})
        requests = guest.snapshot()["requests"]
        assert (requests["started"], requests["in_flight"], requests["aborted"]) == (requests["finished"] + 2, 0, 2)
    own = "as asked", "Traceback", "Error handling request", "Invalid request from"
    assert [line for line in guest.alarms if not any(text in line for text in own)] == []


def leave(guest: Guest) -> None:
    """A client that gets half of a response, and one that goes while it gets one."""
    with Connection(guest.address) as connection, pytest.raises(OSError, match="ended before"):
        connection.get("/middle")
    with connect(guest.address) as sock:
        sock.sendall(b"GET /endless HTTP/1.1\r\nHost: test\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 210 ")


EMPTY = """\
def app(environ, start_response):
    start_response("204 No", [])
    return []
"""

BYPASS = """\
from gunicorn.workers.sync import SyncWorker

class Own(SyncWorker):
    def load_wsgi(self):
        self.wsgi = self.app.wsgi()
"""


def test_a_worker_that_counts_nothing_says_so_once(tmp_path: Path) -> None:
    """An own class that loads the app by itself; a worker that counts says nothing."""
    with Guest(tmp_path, files={"shop.py": EMPTY, "own.py": BYPASS}, arguments=("-k", "own.Own"), workers=1) as guest:
        ask(guest, 99)
        assert "counted none" not in guest.log
        ask(guest, 2)
        until(lambda: guest.log.count("and counted none") == 1, "it is said")
        ask(guest, 20)
        assert guest.log.count("and counted none") == 1
        assert guest.snapshot()["http_requests"] == 0
    folder = tmp_path / "counting"
    folder.mkdir()
    with Guest(folder, files={"shop.py": EMPTY}, arguments=("-k", "sync"), workers=1) as guest:
        ask(guest, 120)
        guest.wait_idle()
        assert guest.snapshot()["http_requests"] == 120
        assert "counted none" not in guest.log


def ask(guest: Guest, times: int) -> None:
    for _ in range(times):
        assert guest.get("/").status == 204
