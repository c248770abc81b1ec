"""The real nginx for tests, with the site of deploy/nginx.conf: only addresses are put in, and a log is added."""

import contextlib
import os
import signal
import socket
import subprocess
from collections import Counter
from pathlib import Path

import psutil

from tests.support.http import Address, connect
from tests.support.server import ROOT
from tests.support.waiting import PATIENCE, until

NGINX = "/usr/sbin/nginx"
SITE = ROOT / "deploy" / "nginx.conf"
LISTEN, UPSTREAM = "listen 127.0.0.1:8000;", "server 127.0.0.1:8080;"  # what the site says, each once
STARTS = 5  # a free port can be lost before nginx has it

AROUND = """\
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    log_format upstream "$request_method $upstream_status";
    access_log {folder}/access.log upstream;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


class Nginx:
    """nginx in front of a daemon. A context manager; nothing of it stays."""

    def __init__(self, folder: Path, upstream: Address) -> None:
        self.folder = folder / "nginx"
        self.folder.mkdir()
        self._upstream = f"unix:{upstream}" if isinstance(upstream, str) else f"{upstream[0]}:{upstream[1]}"
        self.address: tuple[str, int] = ("127.0.0.1", 0)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Nginx":
        try:
            for _ in range(STARTS):
                if self._start():
                    return self
            raise AssertionError(f"nginx does not start:\n{self.log}")
        except BaseException:
            self._stop()
            raise

    def __exit__(self, *exc: object) -> None:
        self._stop()

    def _start(self) -> bool:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = free.getsockname()
        self._write_site()
        user = "user root;" if os.geteuid() == 0 else ""  # its worker has to be able to open the test's unix socket
        (self.folder / "nginx.conf").write_text(AROUND.format(folder=self.folder, user=user))
        with (self.folder / "error.log").open("ab") as log:
            self._process = subprocess.Popen(
                [NGINX, "-e", f"{self.folder}/error.log", "-p", str(self.folder), "-c", f"{self.folder}/nginx.conf"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return until(self._answers_or_ended, f"nginx answers; its log:\n{self.log}") == "answers"

    def _write_site(self) -> None:
        site = SITE.read_text()
        for said, put in ((LISTEN, f"listen 127.0.0.1:{self.address[1]};"), (UPSTREAM, f"server {self._upstream};")):
            assert site.count(said) == 1, f"{SITE} says {said!r} once"
            site = site.replace(said, put)
        (self.folder / "site.conf").write_text(site)

    def _answers_or_ended(self) -> str:
        assert self._process is not None
        if self._process.poll() is not None:
            return "ended"
        with contextlib.suppress(OSError):
            connect(self.address).close()
            return "answers"
        return ""

    @property
    def log(self) -> str:
        path = self.folder / "error.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def upstream_responses(self) -> Counter[tuple[str, str]]:
        """Responses that it got from the daemon, by (method, status); a line is written when the request is over."""
        found: Counter[tuple[str, str]] = Counter()
        for line in (self.folder / "access.log").read_text().splitlines():
            method, _, statuses = line.partition(" ")
            found.update((method, status) for status in statuses.split(", ") if status != "-")
        return found

    def _stop(self) -> None:
        if self._process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(self._process.pid).children(recursive=True)
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10 * PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
            for process in psutil.wait_procs(children, timeout=5 * PATIENCE)[1]:
                process.kill()
        self._process.wait()
