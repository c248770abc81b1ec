"""A tiny daemon that answers what a test sets, in the order in which it is asked; and the command in a process."""

import contextlib
import json
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

Json = dict[str, Any]
HEALTHY = {"system_health": "healthy", "http_requests": 1250, "observed_age_seconds": 0.5, "workers": [], "x": "\x1b"}
"""A snapshot."""

ID, OTHER = "019ab6b1-0000-7000-8000-000000000001", "019ab6b1-0000-7000-8000-000000000002"


class Request(NamedTuple):
    """One that the daemon got."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


def job(status: str = "running", job_id: str = ID, **fields: object) -> Json:
    """A job as the daemon answers it."""
    return {"id": job_id, "kind": "checksum", "name": "a", "status": status, "progress": 0.0} | fields


def jobs_answer(*jobs: Json, unknown: tuple[str, ...] = ()) -> tuple[int, Json]:
    """The answer of POST /jobs/query."""
    return 200, {"jobs": list(jobs), "unknown": list(unknown)}


@contextlib.contextmanager
def running(server: socketserver.BaseServer) -> Iterator[None]:
    """The server, in a thread of its own."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:  # a thread that is left would keep a failed run from ending
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def daemon(*answers: tuple[int, Json | bytes, *tuple[Json, ...]]) -> Iterator[tuple[str, list[Request]]]:
    """Yields the URL, and the requests so far. An answer is a status, an object or bytes, and headers, where there are
    any; the last one is repeated.
    """
    requests: list[Request] = []
    waiting = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            requests.append(Request(self.command, self.path, dict(self.headers), json.loads(data) if data else None))
            status, value, *headers = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            body = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            for name, text in (headers[0] if headers else {}).items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def do_PUT(self) -> None:
            self.do_GET()

        def do_DELETE(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with running(server):
        yield f"http://127.0.0.1:{server.server_port}", requests


def run(*args: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own; it never ends in a traceback, and never drives the terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "hvd", *args],
        env=environ,
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    return done
