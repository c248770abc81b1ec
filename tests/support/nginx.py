"""The real nginx for tests, with the site of deploy/nginx.conf: only addresses are put in, and a log is added."""

import os
from collections import Counter
from pathlib import Path

from tests.support.http import Address, connect
from tests.support.server import ROOT
from tests.support.service import Service

NGINX = "/usr/sbin/nginx"
SITE = ROOT / "deploy" / "nginx.conf"
LISTEN, UPSTREAM = "listen 127.0.0.1:8000;", "server 127.0.0.1:8080;"  # what the site says, each once

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


class Nginx(Service):
    """nginx in front of a daemon."""

    def __init__(self, folder: Path, upstream: Address) -> None:
        super().__init__(folder)
        self._upstream = f"unix:{upstream}" if isinstance(upstream, str) else f"{upstream[0]}:{upstream[1]}"

    def _command(self) -> list[str]:
        self._write_site()
        user = "user root;" if os.geteuid() == 0 else ""  # its worker has to be able to open the test's unix socket
        (self.folder / "nginx.conf").write_text(AROUND.format(folder=self.folder, user=user))
        return [NGINX, "-e", f"{self.folder}/error.log", "-p", str(self.folder), "-c", f"{self.folder}/nginx.conf"]

    def _answers(self) -> bool:
        connect(self.address).close()
        return True

    def _write_site(self) -> None:
        site = SITE.read_text()
        for said, put in ((LISTEN, f"listen 127.0.0.1:{self.address[1]};"), (UPSTREAM, f"server {self._upstream};")):
            assert site.count(said) == 1, f"{SITE} says {said!r} once"
            site = site.replace(said, put)
        (self.folder / "site.conf").write_text(site)

    def upstream_responses(self) -> Counter[tuple[str, str]]:
        """Responses that it got from the daemon, by (method, status); a line is written when the request is over."""
        found: Counter[tuple[str, str]] = Counter()
        for line in (self.folder / "access.log").read_text().splitlines():
            method, _, statuses = line.partition(" ")
            found.update((method, status) for status in statuses.split(", ") if status != "-")
        return found
