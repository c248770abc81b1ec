"""A tiny daemon that answers what a test sets, in the order in which it is asked."""

import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple

Json = dict[str, Any]
ID, OTHER = "019ab6b1-0000-7000-8000-000000000001", "019ab6b1-0000-7000-8000-000000000002"


class Asked(NamedTuple):
    """A request."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class _Server(socketserver.ThreadingUnixStreamServer):
    """HTTP at a path."""


def job(status: str = "running", job_id: str = ID, **fields: object) -> Json:
    """A job as the daemon answers it."""
    return {"id": job_id, "kind": "checksum", "name": "a", "status": status, "progress": 0.0} | fields


def found(*jobs: Json, unknown: tuple[str, ...] = ()) -> tuple[int, Json]:
    """The answer of POST /jobs/query."""
    return 200, {"jobs": list(jobs), "unknown": list(unknown)}


@contextlib.contextmanager
def daemon(folder: Path, *answers: tuple[int, Json | bytes, *tuple[Json, ...]]) -> Iterator[tuple[str, list[Asked]]]:
    """Yields the URL, and what was asked; the last answer is given again and again. One is a status, an object or
    bytes, and headers, where there are any.
    """
    asked: list[Asked] = []
    waiting = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append(Asked(self.command, self.path, dict(self.headers), json.loads(data) if data else None))
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

        def address_string(self) -> str:
            return ""  # a unix socket's client has none

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    path = folder / "daemon.sock"
    with _Server(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"unix:{path}", asked
        finally:
            server.shutdown()
            thread.join()
            path.unlink()
