"""The deployment files: systemd and nginx take them, and they agree with the settings."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from hvd.errors import SettingsError
from hvd.settings.job_kinds import Kind
from hvd.settings.loader import load
from hvd.settings.table import SETTINGS, written

DEPLOY = Path(__file__).parents[2] / "deploy"
TOML = (DEPLOY / "hvd.toml").read_text()
UNIT = (DEPLOY / "hvd.service").read_text()
PROXIES = {name: (DEPLOY / name).read_text() for name in ("nginx.conf", "Caddyfile", "haproxy.cfg")}
SITE = PROXIES["nginx.conf"]
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


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_s_file_is_installed_where_it_says(name: str) -> None:
    """README.md and the file itself name one place, a file that the proxy reads."""
    (place,) = re.findall(r"copy to ([^\s;]+);", PROXIES[name])
    assert re.fullmatch(r"/etc/(nginx/conf\.d/\w+\.conf|caddy/Caddyfile|haproxy/haproxy\.cfg)", place)
    assert re.search(rf"hvd deploy (nginx|caddy|haproxy) >{place}\b", (DEPLOY / "README.md").read_text())


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


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """In copies whose programs exist here; and it counts what the service may do as little: below 1.5 of 10."""
    for name in ("hvd.service", "hvd.socket"):
        text = re.sub("/opt/hvd/bin/[a-z]+", "/bin/true", (DEPLOY / name).read_text())
        (tmp_path / name).write_text(text)
    unit = str(tmp_path / "hvd.service")
    passes("systemd-analyze", "verify", unit, str(tmp_path / "hvd.socket"))
    passes("systemd-analyze", "security", "--offline=yes", "--threshold=14", unit)


def test_the_unit_agrees_with_the_settings() -> None:
    """It waits longer than gunicorn does, and has descriptors for every client."""
    unit = dict(re.findall(r"^(\w+)=(.*)$", UNIT, re.MULTILINE))
    settings = load({"STATE_DIRECTORY": unit["WorkingDirectory"]}).settings
    assert int(unit["TimeoutStopSec"]) > settings.graceful_timeout + settings.jobs_grace
    assert int(unit["LimitNOFILE"]) > 2 * settings.max_clients
    assert str(settings.state_dir) == f"/var/lib/{unit['StateDirectory']}"
    assert unit["ExecStart"] == "/opt/hvd/bin/gunicorn -c python:hvd.gunicorn_conf"
    assert (unit["Type"], unit["KillMode"], unit["Restart"]) == ("notify", "mixed", "on-failure")
    assert f"\nListenStream={settings.bind}\n" in (DEPLOY / "hvd.socket").read_text()


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


@pytest.mark.parametrize("command", [("haproxy", "-c", "-f"), ("caddy", "validate", "--adapter=caddyfile", "--config")])
def test_caddy_and_haproxy_take_their_files(tmp_path: Path, command: tuple[str, ...]) -> None:
    """As they are."""
    (name,) = (name for name in PROXIES if command[0] in name.lower())
    passes("env", f"HOME={tmp_path}", "PATH=/usr/bin:/usr/sbin", *command, str(DEPLOY / name))


@pytest.mark.parametrize(
    ("name", "answer", "socket", "idle"),
    [
        ("nginx.conf", r"proxy_read_timeout (3\d)s;", r"proxy_read_timeout (7\d)s;", r"keepalive_timeout (\d+)s;"),
        ("Caddyfile", r"response_header_timeout (3\d)s", None, r"keepalive (\d+)s"),
        ("haproxy.cfg", r"timeout server (3\d)s", r"timeout tunnel (\d+)s", r"pool-purge-delay (\d+)s"),
    ],
)
def test_a_proxy_agrees_with_the_settings(name: str, answer: str, socket: str | None, idle: str) -> None:
    """It waits longer than the pings and gunicorn's timeout, and drops idle connections sooner than gunicorn."""
    settings, text = load({}).settings, PROXIES[name]
    assert text.count(settings.bind) == 1
    assert int(re.findall(answer, text)[0]) > settings.timeout
    assert socket is None or int(re.findall(socket, text)[0]) > settings.ping_interval + settings.ping_timeout
    assert int(re.findall(idle, text)[0]) < settings.keepalive
    assert "/run/hvd/127.0.0.1-8080/admin.sock" in text
