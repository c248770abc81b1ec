"""The deployment files: systemd and nginx take them, and they agree with the settings."""

import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hvd.errors import SettingsError
from hvd.settings.job_kinds import Kind
from hvd.settings.loader import load
from hvd.settings.table import SETTINGS, written
from tests.support.nginx import Nginx

DEPLOY = Path(__file__).parents[2] / "deploy"
TOML = (DEPLOY / "hvd.toml").read_text()
UNIT = (DEPLOY / "hvd.service").read_text()
SITE = (DEPLOY / "nginx.conf").read_text()
SETTINGS_TEXT = TOML[: TOML.index("# Kinds of job.")]
LISTEN = "listen 127.0.0.1:8000;"
UPSTREAM = "server 127.0.0.1:8080;"


def passes(*command: str) -> None:
    """Run a checker; a missing one is a failure as well."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr + done.stdout


def uncommented(text: str) -> str:
    """The text with the mark of every line that is TOML taken away: it has no blank behind."""
    return re.sub(r"^#(?=\S)", "", text, flags=re.MULTILINE)


def test_the_example_file_tells_of_every_setting_in_order() -> None:
    """Each with its help, what it takes, and its default."""
    keys, table = [], ""
    for head, key in re.findall(r"^#(?:\[(\w+)\]$|(\w+) = )", SETTINGS_TEXT, re.MULTILINE):
        table = f"{head}." if head else table
        keys += [f"{table}{key}"] if key else []
    assert keys == [written(key) for key in SETTINGS]
    for setting in SETTINGS.values():
        assert f"# {setting.help} Takes {setting.type.expected}.\n" in TOML
        assert not setting.words or f"# Default: {setting.words}." in TOML


def test_the_site_is_installed_where_it_says() -> None:
    """README.md and the file itself name one place, a file that nginx reads."""
    (place,) = re.findall(r"copy to (\S+);", SITE)
    assert re.fullmatch(r"/etc/nginx/conf\.d/\w+\.conf", place)
    assert f"deploy/nginx.conf {place}\n" in (DEPLOY / "README.md").read_text()


def test_the_example_file_changes_nothing_as_it_is() -> None:
    """All of it is commented out."""
    loaded = load({"HVD_CONFIG": str(DEPLOY / "hvd.toml")})
    assert set(loaded.sources.values()) == {"default"}
    assert loaded.settings.job_kinds == {}


def test_the_example_file_shows_the_defaults(tmp_path: Path) -> None:
    """With every line's mark taken away it is valid, and fixed defaults stay what they were."""
    path = tmp_path / "hvd.toml"
    path.write_text(uncommented(TOML).replace("MAKE-ONE", "x" * 16))
    settings, sources, *_ = load({"HVD_CONFIG": str(path)})
    assert set(sources.values()) == {"hvd.toml"}
    defaults = load({}).settings
    for key, setting in SETTINGS.items():
        assert setting.words or getattr(settings, key) == getattr(defaults, key)
    assert list(settings.job_kinds) == ["convert", "checksum"]


def test_the_token_of_the_example_file_is_none(tmp_path: Path) -> None:
    """Everybody can read it: whoever takes the mark away has to make one."""
    path = tmp_path / "hvd.toml"
    path.write_text(uncommented(TOML))
    with pytest.raises(SettingsError) as caught:
        load({"HVD_CONFIG": str(path)})
    assert [problem[:6] for problem in caught.value.problems] == ["token "]


def kinds_in(folder: Path) -> Mapping[str, Kind]:
    """The kinds of job of the example file, with another folder for /srv/images."""
    (folder / "images").mkdir()
    path = folder / "hvd.toml"
    path.write_text(uncommented(TOML[len(SETTINGS_TEXT) :]).replace("/srv/images", str(folder / "images")))
    return load({"HVD_CONFIG": str(path)}).settings.job_kinds


def test_the_kind_checksum_works(tmp_path: Path) -> None:
    """With the real program, on a name that tries to be an option."""
    kind = kinds_in(tmp_path)["checksum"]
    (tmp_path / "images" / "-w x").write_text("abc")
    params, _ = kind.check({"file": f"{tmp_path}/images/-w x"})
    done = subprocess.run(kind.argv(params), capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad ")


def test_the_kind_convert_asks_for_a_new_file(tmp_path: Path) -> None:
    """And finds the percents in what qemu-img prints."""
    kind = kinds_in(tmp_path)["convert"]
    (tmp_path / "images" / "a.raw").write_text("x")
    source, target = f"{tmp_path}/images/a.raw", f"{tmp_path}/images/b.qcow2"
    params, _ = kind.check({"source": source, "target": target})
    assert kind.argv(params) == ["qemu-img", "convert", "-p", "-O", "qcow2", "--", source, target]
    assert [problem.pointer for problem in kind.check({"source": source, "target": source})[1]] == ["/target"]
    match = re.search(kind.progress or "", "    (12.34/100%)\r")
    assert match
    assert match["percent"] == "12.34"


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """In a copy whose program exists here."""
    program = "/opt/hvd/bin/gunicorn"
    assert UNIT.count(program) == 1
    path = tmp_path / "hvd.service"
    path.write_text(UNIT.replace(program, "/bin/true"))
    passes("systemd-analyze", "verify", str(path))


def test_the_unit_agrees_with_the_settings() -> None:
    """It waits longer than gunicorn does, and has descriptors for every client."""
    unit = dict(re.findall(r"^(\w+)=(.*)$", UNIT, re.MULTILINE))
    settings = load({"STATE_DIRECTORY": unit["WorkingDirectory"]}).settings
    assert int(unit["TimeoutStopSec"]) > settings.graceful_timeout
    assert int(unit["LimitNOFILE"]) > 2 * settings.max_clients
    assert str(settings.state_dir) == f"/var/lib/{unit['StateDirectory']}"
    assert unit["ExecStart"] == "/opt/hvd/bin/gunicorn -c python:hvd.gunicorn_conf"
    assert (unit["Type"], unit["KillMode"], unit["Restart"]) == ("notify", "mixed", "on-failure")


def test_nginx_takes_the_site(tmp_path: Path) -> None:
    """Inside an http block; on a unix socket, since even a check opens what it listens on."""
    (tmp_path / "site.conf").write_text(SITE.replace(LISTEN, f"listen unix:{tmp_path}/nginx.sock;"))
    main = tmp_path / "nginx.conf"
    temporary = "".join(
        f"{name}_temp_path {tmp_path};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main.write_text(
        f"pid {tmp_path}/nginx.pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temporary} include {tmp_path}/site.conf; }}\n"
    )
    passes("/usr/sbin/nginx", "-t", "-p", str(tmp_path), "-c", str(main))


def test_the_site_keeps_its_two_addresses_on_lines_of_their_own() -> None:
    """They are what an installation changes."""
    lines = [line.strip() for line in SITE.splitlines()]
    assert lines.count(LISTEN) == lines.count(UPSTREAM) == 1
    assert f"server {load({}).settings.bind};" == UPSTREAM


def test_the_site_agrees_with_the_settings() -> None:
    """nginx waits longer than the pings and gunicorn's timeout, and drops idle connections sooner than gunicorn."""
    settings = load({}).settings
    for_all, for_ws = map(int, re.findall(r"proxy_read_timeout (\d+)s;", SITE))
    (idle,) = map(int, re.findall(r"keepalive_timeout (\d+)s;", SITE))
    assert for_all > settings.timeout
    assert for_ws > settings.ping_interval + settings.ping_timeout
    assert idle < settings.keepalive


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """The address of the real nginx with the site, before a server that answers everything with 204."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(204)
            self.end_headers()

        def do_POST(self) -> None:
            self.do_GET()

        def do_DELETE(self) -> None:
            self.do_GET()

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with Nginx(tmp_path, ("127.0.0.1", server.server_port)) as nginx:
                yield nginx.address
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("client", "method", "path", "status"),
    [
        ("127.0.0.1", "POST", "/jobs/submit", 204),
        ("127.0.0.2", "POST", "/jobs/submit", 403),
        ("127.0.0.2", "POST", "/jobs", 403),
        ("127.0.0.2", "POST", "//x/../%6aobs/./submit", 403),
        ("127.0.0.2", "DELETE", "/jobs/1", 403),
        ("127.0.0.2", "GET", "/jobs", 204),
        ("127.0.0.2", "HEAD", "/jobs/1", 204),
        ("127.0.0.2", "POST", "/health", 204),
    ],
)
def test_only_its_own_machine_may_change_jobs_through_nginx(
    site: tuple[str, int], client: str, method: str, path: str, status: int
) -> None:
    """hvd takes all that nginx passes on for local; 127.0.0.2 stands for the world."""
    connection = HTTPConnection(*site, timeout=30, source_address=(client, 0))
    connection.request(method, path, body=b"{}" if method == "POST" else None)
    assert connection.getresponse().status == status
    connection.close()
