"""`hvd run`: an app is served with hvd under it, and its page is where the first lines say."""

import os
import signal
from pathlib import Path

import psutil

from tests.support.guest import HELLO, Run
from tests.support.http import Connection
from tests.support.waiting import until

FROZEN = "import gc\n" + HELLO.replace('b"ok"', 'b"ok" if gc.get_freeze_count() else b"no"')
"""Answers ok where what the worker shares with its master stays shared."""


def page_of(run: Run) -> tuple[str, int]:
    """As its first lines have it."""
    line = next(line for line in run.log.splitlines() if line.startswith("hvd: its page"))
    host, _, port = line.partition("http://")[2].partition(";")[0].partition(":")
    return host, int(port)


def test_an_app_and_its_page(tmp_path: Path) -> None:
    """Through a reload and an upgrade, under the settings and hooks of its own gunicorn.conf.py."""
    conf = "workers = 2\nthreads = 3\ndef when_ready(server): server.log.info('own hook')\n"
    with Run(tmp_path, "--", "--timeout", "90", conf=conf, files={"shop.py": FROZEN}) as run:
        assert f"hvd: shop:app is on http://{run.address[0]}:{run.address[1]} (gthread workers)" in run.log
        assert "own hook" in run.log
        page = page_of(run)
        assert run.admin_address == page
        with Connection(page, 30) as browser:
            assert b"<html" in browser.get("/", Accept="text/html").body
        for _ in range(5):
            assert run.get("/").body == b"ok"
        assert run.snapshot()["worker_threads"] == 6
        companions = [*run.pids("aggregator"), *run.pids("admin_server")]
        assert sum(psutil.Process(pid).memory_full_info().pss for pid in companions) < 55e6
        (tmp_path / "gunicorn.conf.py").write_text(conf.replace("threads = 3", "threads = 4"))
        run.reload()
        until(lambda: run.snapshot()["worker_threads"] == 8, "a reload reads its settings again")
        run.signal(signal.SIGUSR2)
        until(lambda: len(set(run.pids("worker"))) == 4, "the new master has workers", 20)
        run.signal(signal.SIGTERM)
        assert run.wait() == 0
        assert run.get("/").body == b"ok"
        until(lambda: run.snapshot()["http_requests"] == 6, "totals go on, and the page stays where it was")
        assert "admin_bind" not in run.log
        run.stop_successor()
    assert run.alarms == []


def test_an_app_that_cannot_be_had_is_one_line(tmp_path: Path) -> None:
    """Rather than the boot loop's tracebacks; nothing is left."""
    run = Run(tmp_path, app="shop:ap")
    assert run.refusal() == "hvd: shop:ap can't be served: module shop has no 'ap'; did you mean app?"


def test_without_an_app_it_is_hvds_own_daemon(tmp_path: Path) -> None:
    """On the address of its settings, with a page beside it."""
    with Run(tmp_path, app="", workers=1) as run:
        assert "hvd: hvd's own daemon" in run.log
        assert run.get("/health").status == 200
        assert run.admin_address == page_of(run)


def test_a_reload_that_fails_changes_nothing(tmp_path: Path) -> None:
    """The app is named by its own file, which has a typo then: it is served on, by new workers too."""
    conf = "wsgi_app = 'shop:app'\n"
    with Run(tmp_path, app="", conf=conf, workers=1) as run:
        (tmp_path / "gunicorn.conf.py").write_text("wsgi_app = 'shop:")
        run.signal(signal.SIGHUP)
        until(lambda: "reload goes on with the settings in force" in run.log, "it is told")
        until(lambda: len(run.pids("worker")) == 1, "the old worker is gone", 20)
        (worker,) = run.pids("worker")
        os.kill(worker, signal.SIGKILL)
        until(lambda: run.pids("worker") not in ([], [worker]), "it is replaced")
        assert run.get("/").body == b"ok"


ASGI = """\
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
"""


def test_an_asgi_app_gets_a_class_that_fits(tmp_path: Path) -> None:
    """The first line says which; a reload goes on with it."""
    with Run(tmp_path, files={"shop.py": ASGI}, workers=1) as run:
        assert "(uvicorn_worker.UvicornWorker workers, chosen for an ASGI app)" in run.log
        assert run.get("/").body == b"ok"
        run.reload()
        assert run.get("/").body == b"ok"
        until(lambda: run.snapshot()["http_requests"] == 2, "all are counted")
        assert "worker_class" not in run.log
