"""Own hooks of every name beside hvd's, whichever way hvd came in: each is called where it belongs."""

import os
import signal
from pathlib import Path

import pytest
from gunicorn.config import KNOWN_SETTINGS

from tests.support.guest import INSTALL, Guest
from tests.support.server import upgradable
from tests.support.waiting import until

SHOP = """\
from gunicorn.dirty import DirtyApp, get_dirty_client

class Stock(DirtyApp):
    def count(self):
        return "dirty"

def app(environ, start_response):
    body = get_dirty_client().execute("shop:Stock", "count").encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

HOOKS = [s.name for s in KNOWN_SETTINGS if s.section in ("Server Hooks", "Dirty Arbiter Hooks")]

CONF = """
import os
threads, dirty_apps, dirty_workers, control_socket = 2, ["shop:Stock"], 1, "control.sock"
control_socket_disable = False

def note(name):
    from hvd.instrument.counting import counting
    block = os.path.exists("/dev/shm/hvd-" + os.environ["HVD_INSTANCE"])
    with open("notes", "a") as file:
        file.write(f"{name} {'block' if block else 'no block'} {'rows' if 'rows' in vars(counting) else 'no rows'}\\n")

""" + "".join(
    f"def {name}({', '.join('abcd'[: {'post_request': 4, 'nworkers_changed': 3}.get(name, arity)])}): note({name!r})\n"
    for name, arity in ((s.name, s.default.__code__.co_argcount) for s in KNOWN_SETTINGS if s.name in HOOKS)
    if name != "ssl_context"  # asked where there is TLS alone, and hvd has no part in it
)


@pytest.mark.parametrize("line", [INSTALL, "from hvd.gunicorn_conf import *\n"], ids=["install", "import"])
def test_hooks_of_every_name(tmp_path: Path, line: str) -> None:
    """Through all that calls them: dirty workers, a reload, a worker that is told to end, an upgrade, a stop."""
    conf = CONF if line == INSTALL else ""
    guest = Guest(tmp_path, files={"shop.py": SHOP}, conf=conf, line=line if conf else line + CONF)
    notes = tmp_path / "notes"

    def count(line: str) -> int:
        return notes.read_text().splitlines().count(line)

    with upgradable(guest):
        for _ in range(3):
            assert guest.get("/").body == b"dirty"
        until(lambda: count("post_request block rows") == 3, "each request has its hooks")
        assert count("pre_request block rows") == 3
        for name in ("post_fork", "post_worker_init"):
            assert count(f"{name} block rows") == 2, "hvd is ready where a worker begins"
        for name in ("on_dirty_starting", "dirty_post_fork", "dirty_worker_init"):
            assert count(f"{name} block no rows") == 1
        assert (tmp_path / "control.sock").is_socket()
        for signum, hook, begun in ((signal.SIGQUIT, "worker_int", 3), (signal.SIGABRT, "worker_abort", 4)):
            os.kill(guest.pids("worker")[0], signum)
            until(lambda hook=hook: count(f"{hook} block rows") == 1, "a worker is told to end")
            until(lambda begun=begun: count("post_worker_init block rows") == begun, "it is replaced")
        guest.reload()
        assert count("on_reload block no rows") == 1
        guest.signal(signal.SIGUSR2)
        until(lambda: count("when_ready block no rows") == 2, "the new master is ready", 20)
        guest.signal(signal.SIGTERM)
        assert guest.wait() == 0
        until(lambda: guest.snapshot()["http_requests"] == 3, "totals go on")
        guest.stop_successor()
    assert count("on_exit block no rows") == 2, "the block goes after the user's part"
    seen = {line.split()[0] for line in notes.read_text().splitlines()}
    assert seen == {*HOOKS} - {"ssl_context"}


CLOSING = """
import os

def post_fork(server, worker):
    known = {listener.fileno() for listener in worker.sockets} | {worker.tmp.fileno(), 0, 1, 2}
    for fd in set(range(256)) - known:
        try:
            os.close(fd)
        except OSError:
            continue
    worker.taken = [os.open("theirs", os.O_RDWR | os.O_CREAT) for _ in range(20)]

threads, worker_class = 1, "sync"
"""


def test_a_hook_that_closes_all_that_it_does_not_know_breaks_no_request(tmp_path: Path) -> None:
    """The block's descriptor among it, whose number is a file's of theirs from then on: that file stays as it is."""
    with Guest(tmp_path, conf=CLOSING) as guest:
        for number in range(20):
            assert guest.get(f"/{number}").status == 200
        until(lambda: guest.snapshot()["http_requests"] == 20, "all are counted")
        assert (tmp_path / "theirs").stat().st_size == 0
        assert "Traceback" not in guest.log
