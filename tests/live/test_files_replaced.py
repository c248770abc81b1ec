"""hvd's files are replaced under a running daemon (`pip install -U`): it goes on with the code that it began with."""

import os
import re
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import psutil

from tests.support.jobs import JobsDaemon
from tests.support.server import ROOT
from tests.support.waiting import until
from tests.support.ws import RawWebSocket

KINDS = {"plain": {"command": ["true"]}}
ROUTES = ("/", "/health", "/status", "/api/v1/snapshot", "/api/v1/history", "/metrics", "/jobs", "/jobs/kinds", "/none")


def replace_all(package: Path) -> None:
    """Put files in the place of all others that can't be used: what has been read of them once is all there is."""
    for path in [path for path in package.rglob("*") if path.is_file()]:
        path.unlink()
        path.write_text("raise SystemExit('this is newer code')\n")


def guards(server: JobsDaemon) -> list[int]:
    """Guards that have begun their work: they ignore SIGTERM."""
    ignoring = 1 << signal.SIGTERM - 1
    found = []
    for process in server.processes():
        with suppress(psutil.NoSuchProcess, OSError):  # it has ended meanwhile
            status = Path(f"/proc/{process.pid}/status").read_text()
            if (
                "hvd.jobs.run.guard" in process.cmdline()
                and int(re.findall(r"SigIgn:\s*(\w+)", status)[0], 16) & ignoring
            ):
                found.append(process.pid)
    return found


def test_the_old_code_serves_on(tmp_path: Path) -> None:
    """Whatever is killed comes back as it was: worker, aggregator, job runner, guard; compiled parts and page too."""
    package = tmp_path / "lib" / "hvd"
    shutil.copytree(ROOT / "hvd", package, ignore=shutil.ignore_patterns("__pycache__"))
    environ = {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    with JobsDaemon(tmp_path, KINDS, app="hvd.web.wsgi:app", workers=1, environ=environ) as server:
        page, script = (server.get(path, Accept="text/html").body for path in ("/", f"/static/{asset(server)}"))
        replace_all(package)
        for kind in ("worker", "aggregator", "job_runner"):
            (pid,) = server.pids(kind)
            os.kill(pid, signal.SIGKILL)
            until(lambda kind=kind, pid=pid: server.pids(kind) not in ([], [pid]), f"there is another {kind}")
            until(lambda: server.is_healthy(), "all is well")
        server.reload()
        (guard,) = until(lambda: guards(server), "there is a guard")
        os.kill(guard, signal.SIGKILL)
        until(lambda: server.submit("plain") and guards(server) not in ([], [guard]), "there is another guard")
        server.wait_ended()
        assert server.job(server.submit("plain")[0])["kind"] == "plain"
        for path in ROUTES:
            assert server.get(path).status == (404 if path == "/none" else 200), path
        assert server.get("/status").json()["hot_path"] == "C"
        assert server.get("/", Accept="text/html").body == page
        assert server.get(f"/static/{asset(server)}").body == script
        with RawWebSocket(server.address) as client:
            until(lambda: client.message()["data"]["raw"]["system_health"] == "healthy", "all is well")
        server.wait_ended()
        assert "newer code" not in server.log


def asset(server: JobsDaemon) -> str:
    """The name of a script of the page."""
    found = re.search(rb'src="static/([a-z.0-9]+\.js)"', server.get("/", Accept="text/html").body)
    assert found
    return found[1].decode()
