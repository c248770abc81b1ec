"""The real nginx, Caddy and HAProxy for tests, with what deploy/ has for them: only addresses are put in, and a log."""

import json
import os
import re
import signal
import ssl
import subprocess
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.support.http import Address, connect
from tests.support.server import ROOT
from tests.support.service import Service

DEPLOY = ROOT / "deploy"
PREFIX = "/hvd"
"""That of the examples in the files."""
NAME = "hvd.example"


class Proxy(Service):
    """A proxy before a daemon; under TLS with HTTP/2, and with the daemon under a path, if that is wanted."""

    file: Path
    """Its configuration, in deploy/."""
    listen: str
    """What the file says, each once: where it listens, and where the daemon and its admin server do."""
    bind: str
    admin: str
    ends_requests = False
    """At its own reload, those in progress."""

    def __init__(
        self, folder: Path, upstream: Address, admin: Address = "/nowhere", *, tls: bool = False, prefixed: bool = False
    ) -> None:
        super().__init__(folder)
        self._upstream, self._admin, self.tls = upstream, admin, tls
        self.prefix = PREFIX if prefixed else ""
        if tls:
            make_certificate(self.folder)

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.address[1]}{self.prefix}"

    @property
    def trust(self) -> ssl.SSLContext:
        """For clients of its certificate."""
        return ssl.create_default_context(cafile=str(self.folder / "certificate.pem"))

    def _answers(self) -> bool:
        connect(self.address).close()
        return True

    def configuration(self) -> str:
        """The file, with the addresses of this one."""
        text = self.file.read_text()
        for said, put in self._addresses().items():
            assert text.count(said) == 1, f"{self.file} says {said!r} once"
            text = text.replace(said, put)
        return self._with_prefix(text) if self.prefix else text

    @abstractmethod
    def _addresses(self) -> dict[str, str]:
        """What stands in the place of what the file says."""

    @abstractmethod
    def _with_prefix(self, text: str) -> str:
        """With the daemon under the path `prefix`, as the file's own comment says."""

    @abstractmethod
    def upstream_responses(self) -> Counter[tuple[str, str]]:
        """Responses that it got from the daemon, by (method, status); a line is written when the request is over."""

    @abstractmethod
    def reload(self) -> None:
        """As its unit does: it reads its configuration anew, and its open connections go on."""

    def _lines(self) -> Iterator[str]:
        path = self.folder / "access.log"
        return iter(path.read_text().splitlines() if path.exists() else [])


def taken(text: str, *lines: str) -> str:
    """With the # taken away before lines that begin so."""
    for line in lines:
        assert text.count(f"#{line}") == 1, f"#{line} stands there once"
        text = text.replace(f"#{line}", line)
    return text


def make_certificate(folder: Path) -> None:
    """A self-signed one of 127.0.0.1: certificate.pem, key.pem, and both in site.pem."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run([*command, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    (folder / "site.pem").write_text(certificate.read_text() + key.read_text())


AROUND = """\
daemon off;
worker_processes {workers};
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
worker_rlimit_nofile 20000;
events {{ worker_connections {connections}; }}
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


class Nginx(Proxy):
    """nginx."""

    file = DEPLOY / "nginx.conf"
    listen, bind = "listen 127.0.0.1:8000;", "\n    server 127.0.0.1:8080;"
    admin = "server unix:/run/hvd/127.0.0.1-8080/admin.sock;"
    connections = 4096

    def _command(self) -> list[str]:
        (self.folder / "site.conf").write_text(self.configuration())
        user = "user root;" if os.geteuid() == 0 else ""  # its worker has to be able to open the test's unix socket
        around = AROUND.format(folder=self.folder, user=user, workers=1, connections=self.connections)
        (self.folder / "nginx.conf").write_text(around)
        return ["/usr/sbin/nginx", "-e", f"{self.folder}/error.log", "-p", f"{self.folder}", "-c", "nginx.conf"]

    def configuration(self) -> str:
        text = super().configuration()
        return taken(text, "ssl_certificate ", "ssl_certificate_key ") if self.tls else text

    def _addresses(self) -> dict[str, str]:
        here = f"listen 127.0.0.1:{self.address[1]}"
        addresses = {self.bind: f"\n    server {_colon(self._upstream)};", self.admin: f"server {_colon(self._admin)};"}
        if not self.tls:
            return addresses | {self.listen: f"{here};"}
        files = {f"/etc/ssl/hvd/{name}": f"{self.folder}/{put}" for name, put in FILES.items()}
        return addresses | files | {f"{self.listen}\n": "\n", "#listen 443 ssl http2;": f"{here} ssl http2;"}

    def _with_prefix(self, text: str) -> str:
        lines, path = [], ""
        for line in text.splitlines():
            if found := re.fullmatch(r"(    location (?:= )?)(/\S*)( \{)", line):
                path = found[2]
                line = f"{found[1]}{self.prefix}{path}{found[3]}"
            lines.append(line.replace("proxy_pass http://hvd;", f"proxy_pass http://hvd{path};"))
        return "\n".join(lines)

    def upstream_responses(self) -> Counter[tuple[str, str]]:
        found: Counter[tuple[str, str]] = Counter()
        for line in self._lines():
            method, _, statuses = line.partition(" ")
            found.update((method, status) for status in statuses.split(", ") if status != "-")
        return found

    def reload(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGHUP)


FILES = {"fullchain.pem": "certificate.pem", "privkey.pem": "key.pem"}


class Caddy(Proxy):
    """Caddy."""

    file = DEPLOY / "Caddyfile"
    listen, bind = "http://:8000 {", "reverse_proxy 127.0.0.1:8080 {"
    admin = "reverse_proxy unix//run/hvd/127.0.0.1-8080/admin.sock {"
    ends_requests = True  # 2.6.2

    def _command(self) -> list[str]:
        self._path.write_text(self.configuration())
        home = f"HOME={self.folder}"  # where it keeps what it remembers
        return ["env", home, "XDG_DATA_HOME=", "XDG_CONFIG_HOME=", "caddy", "run", "--config", f"{self._path}"]

    @property
    def _path(self) -> Path:
        return self.folder / "Caddyfile"

    def configuration(self) -> str:
        text = super().configuration()
        own = f"{{\n\tadmin unix//{self.folder}/admin.sock\n\tauto_https disable_redirects\n\tskip_install_trust\n"
        text = text.replace("\n{\n", f"\n{own}", 1)
        return taken(text, "tls ") if self.tls else text

    def _addresses(self) -> dict[str, str]:
        files = {f"/etc/ssl/hvd/{name}": f"{self.folder}/{put}" for name, put in FILES.items()} if self.tls else {}
        log = f"\tlog {{\n\t\toutput file {self.folder}/access.log\n\t\tformat json\n\t}}"
        return files | {
            self.listen: f"{self._sites()} {{\n{log}",
            self.bind: f"reverse_proxy {_slashes(self._upstream)} {{",
            self.admin: f"reverse_proxy {_slashes(self._admin)} {{",
        }

    def _sites(self) -> str:
        port = self.address[1]
        return f"https://127.0.0.1:{port}, https://{NAME}:{port}" if self.tls else f"http://:{port}"

    def _with_prefix(self, text: str) -> str:
        return taken(text.replace("\n\timport hvd\n", "\n"), "redir /hvd", "handle_path /hvd/*", "\timport hvd", "}")

    def upstream_responses(self) -> Counter[tuple[str, str]]:
        lines = map(json.loads, self._lines())
        return Counter((line["request"]["method"], str(line["status"] or 101)) for line in lines)  # 0: upgraded (2.6.2)

    def reload(self) -> None:
        command = ["caddy", "reload", "--force", "--config", f"{self._path}"]
        subprocess.run([*command, "--address", f"unix//{self.folder}/admin.sock"], check=True, capture_output=True)


class HAProxy(Proxy):
    """HAProxy."""

    file = DEPLOY / "haproxy.cfg"
    listen, bind = "    bind 127.0.0.1:8000", "    server hvd 127.0.0.1:8080"
    admin = "server admin unix@/run/hvd/127.0.0.1-8080/admin.sock"

    def _command(self) -> list[str]:
        (self.folder / "haproxy.cfg").write_text(self.configuration())
        return ["/usr/sbin/haproxy", "-W", "-db", "-f", f"{self.folder}/haproxy.cfg"]

    def _addresses(self) -> dict[str, str]:
        here = f"bind 127.0.0.1:{self.address[1]}"
        return {
            self.bind: f"    server hvd {_at(self._upstream)}",
            self.admin: f"server admin {_at(self._admin)}",
            f"{self.listen}\n": "" if self.tls else f"    {here}\n",
            "#bind :443" if self.tls else "#bind": here if self.tls else "#bind",
            "/etc/ssl/hvd/site.pem": f"{self.folder}/site.pem",
            "    user haproxy\n    group haproxy\n": "",
            "log /dev/log local0": "log stderr format raw local0",
            "option httplog": 'log-format "%HM %ST %b %ts"',
        }

    def _with_prefix(self, text: str) -> str:
        return taken(text, "http-request redirect", "http-request return", "http-request replace-path")

    def upstream_responses(self) -> Counter[tuple[str, str]]:
        found = re.findall(r"^(\S+) (\d+) hvd --$", self.log, re.MULTILINE)
        return Counter((method, status) for method, status in found)

    def reload(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGUSR2)


def _colon(address: Address) -> str:
    return f"unix:{address}" if isinstance(address, str) else f"{address[0]}:{address[1]}"


def _slashes(address: Address) -> str:
    return f"unix/{address}" if isinstance(address, str) else f"{address[0]}:{address[1]}"


def _at(address: Address) -> str:
    return f"unix@{address}" if isinstance(address, str) else f"{address[0]}:{address[1]}"


PROXIES = {"nginx": Nginx, "caddy": Caddy, "haproxy": HAProxy}
