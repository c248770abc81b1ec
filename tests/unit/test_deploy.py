"""The deployment files: systemd and nginx take them, and they agree with the settings."""

import re
import subprocess
from pathlib import Path

from hvd.settings import SETTINGS, load

DEPLOY = Path(__file__).parents[2] / "deploy"
TOML = (DEPLOY / "hvd.toml").read_text()
UNIT = (DEPLOY / "hvd.service").read_text()
SITE = (DEPLOY / "nginx.conf").read_text()
LISTEN = "listen 127.0.0.1:8000;"
UPSTREAM = "server 127.0.0.1:8080;"


def passes(*command: str) -> None:
    """Run a checker; a missing one is a failure as well."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr + done.stdout


def test_the_example_file_tells_of_every_setting_in_order() -> None:
    """Each with its help, what it takes, and its default."""
    assert re.findall(r"^#(\w+) = ", TOML, re.MULTILINE) == list(SETTINGS)
    for setting in SETTINGS.values():
        assert f"# {setting.help} Takes {setting.type.expected}.\n" in TOML
        assert not setting.words or f"# Default: {setting.words}.\n" in TOML


def test_the_example_file_changes_nothing_as_it_is(tmp_path: Path) -> None:
    """All of it is commented out."""
    loaded = load({"HVD_CONFIG": str(DEPLOY / "hvd.toml")})
    assert set(loaded.sources.values()) == {"default"}


def test_the_example_file_shows_the_defaults(tmp_path: Path) -> None:
    """With every line's mark taken away it is valid, and fixed defaults stay what they were."""
    path = tmp_path / "hvd.toml"
    path.write_text(re.sub(r"^#(\w+ = )", r"\1", TOML, flags=re.MULTILINE))
    settings, sources, _ = load({"HVD_CONFIG": str(path)})
    assert set(sources.values()) == {"hvd.toml"}
    defaults = load({}).settings
    for key, setting in SETTINGS.items():
        assert setting.words or getattr(settings, key) == getattr(defaults, key)


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
