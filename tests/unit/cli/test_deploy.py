"""`hvd deploy`: the files of deploy/ with what is in force instead of the defaults."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hvd.cli import deploy
from hvd.metrics.table import METRICS
from hvd.settings.loader import load
from tests.support.prometheus import PROMTOOL
from tests.unit.cli.daemon import run

DEPLOY = Path(__file__).parents[3] / "deploy"
NOTHING = {"HVD_CONFIG": ""}


def filled(target: str, user: str = "hvd", **environ: str) -> dict[str, str]:
    """What is written, by name."""
    return dict(deploy.filled(target, load(environ), user))


@pytest.mark.parametrize("target", sorted({*deploy.TARGETS} - {"systemd"}))
def test_with_defaults_the_files_are_as_they_are(target: str) -> None:
    """So nobody wonders which one to take."""
    for name, text in filled(target).items():
        assert text == (DEPLOY / name).read_text()


def test_the_unit_has_this_installation_its_user_and_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs, file and addresses; blanks and percent signs as systemd takes them."""
    folder = tmp_path / "a 100% venv"
    folder.mkdir()
    (folder / "hvd.toml").write_text('bind = "127.0.0.1:9000"\n')
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    files = filled("systemd", user="shop", HVD_CONFIG=str(folder / "hvd.toml"))
    unit, shown = files["hvd.service"], f"{tmp_path}/a\\x20100%%\\x20venv"
    assert f"\nExecStart={shown}/gunicorn " in unit or f"\nExecStart={shown}/hvd " in unit
    assert f"\nEnvironment=HVD_CONFIG={shown}/hvd.toml\n" in unit
    assert "\nUser=shop\nGroup=shop\n" in unit
    assert "/run/hvd/127.0.0.1-9000/admin.sock" in unit
    assert "/opt/hvd" not in unit
    assert "127.0.0.1-8080" not in unit
    assert "hvd.toml" not in files, "it is there already"
    assert "\nListenStream=127.0.0.1:9000\n" in files["hvd.socket"]
    unix = filled("systemd", HVD_BIND="unix:/run/hvd.sock")
    assert "\nListenStream=/run/hvd.sock\n" in unix["hvd.socket"]


def test_the_example_file_gets_what_the_variables_say(tmp_path: Path) -> None:
    """Where no file is in force: so that the unit serves as this shell would; without secrets."""
    environ = {
        "HVD_BIND": "127.0.0.1:9000",
        "HVD_HTTP_EXCLUDE": r"/static/.* /\d+",
        "HVD_HTTP_SIZES": "false",
        "HVD_LIMITS_HEAD_SECONDS": "4.5",
        "HVD_TOKEN": "geheim" * 4,
        "HVD_DATABASE_URL": "postgresql://hvd:geheim@db/hvd",
        "STATE_DIRECTORY": "/srv/hvd",
        "WEB_CONCURRENCY": "7",
    }
    path = tmp_path / "hvd.toml"
    path.write_text(filled("systemd", **environ)["hvd.toml"])
    assert "geheim" not in path.read_text()
    assert tomllib.loads(path.read_text()) == {
        "bind": "127.0.0.1:9000",
        "workers": 7,
        "limits": {"head_seconds": 4.5},
        "http": {"exclude": [r"/static/.*", r"/\d+"], "sizes": False},
    }
    assert load({"HVD_CONFIG": str(path)}).settings.http_exclude == load(environ).settings.http_exclude


def test_what_is_not_written_is_said(tmp_path: Path) -> None:
    """Secrets; variables beside a file; a folder that the unit does not see."""
    path = tmp_path / "hvd.toml"
    path.write_text("workers = 3\n")
    done = run("deploy", "systemd", HVD_CONFIG=str(path), HVD_BIND="[::1]:9000", HVD_TOKEN="geheim" * 4)
    assert done.returncode == 0
    assert f"hvd: HVD_BIND is set here, and not in {path}: write bind there" in done.stderr
    assert "hvd: HVD_TOKEN is a secret, and not written: put it into /etc/hvd/hvd.env" in done.stderr
    assert "workers" not in done.stderr
    assert "geheim" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("environ", "upstream", "target"),
    [
        ({"HVD_BIND": "0.0.0.0:9000"}, "127.0.0.1:9000", "127.0.0.1:9000"),
        ({"HVD_BIND": "[::]:9000"}, "[::1]:9000", "[::1]:9000"),
        ({"HVD_BIND": "unix:/run/a.sock"}, "unix:/run/a.sock", "127.0.0.1:9180"),
        ({"HVD_ADMIN_BIND": "10.0.0.1:9"}, "127.0.0.1:8080", "10.0.0.1:9"),
        ({"PORT": "5000"}, "127.0.0.1:5000", "127.0.0.1:5000"),
    ],
)
def test_addresses_are_those_that_are_reached(environ: dict[str, str], upstream: str, target: str) -> None:
    """nginx asks bind; Prometheus the admin server where that has a port."""
    assert f"    server {upstream};\n" in filled("nginx", **environ)["nginx.conf"]
    assert f'- targets: ["{target}"]' in filled("prometheus", **environ)["prometheus.yml"]


def test_each_proxy_gets_unix_sockets_as_it_writes_them() -> None:
    """Of bind, and of the admin server, whose folder has the instance's name; in comments too."""
    environ = {"HVD_BIND": "unix:/run/a.sock", "HVD_INSTANCE": "shop"}
    for target, bind, admin in (
        ("nginx", "    server unix:/run/a.sock;", "    server unix:/run/hvd/shop/admin.sock;"),
        ("caddy", "reverse_proxy unix//run/a.sock {", "reverse_proxy unix//run/hvd/shop/admin.sock {"),
        ("haproxy", "server hvd unix@/run/a.sock\n", "server admin unix@/run/hvd/shop/admin.sock "),
    ):
        (text,) = filled(target, **environ).values()
        assert bind in text
        assert admin in text
        assert "127.0.0.1-8080" not in text
        assert "127.0.0.1:8080" not in text


def test_prometheus_takes_its_files(tmp_path: Path) -> None:
    """And the alerts ask for metrics that there are."""
    done = run("deploy", "prometheus", "--to", str(tmp_path), **NOTHING)
    assert (done.returncode, done.stderr) == (0, "")
    checked = subprocess.run(
        [PROMTOOL, "check", "config", str(tmp_path / "prometheus.yml")], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    known = {metric.name for metric in METRICS}
    named = re.findall(r"\bhvd_\w+", (tmp_path / "alerts.yml").read_text())
    assert {name.removesuffix("_bucket") for name in named} <= known


def test_a_changed_file_is_overwritten_only_by_force(tmp_path: Path) -> None:
    """And then all others are left as well; what is right already is left in peace."""
    folder = tmp_path / "new" / "folder"
    assert run("deploy", "prometheus", "--to", str(folder)).stdout.count(": written\n") == 2
    assert run("deploy", "prometheus", "--to", str(folder)).stdout.count(": unchanged\n") == 2
    mine, other = folder / "prometheus.yml", folder / "alerts.yml"
    mine.write_text("mine\n")
    other.unlink()
    done = run("deploy", "prometheus", "--to", str(folder))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"hvd: {mine} is there, and differs: --force overwrites it\n"
    assert not other.exists()
    assert run("deploy", "prometheus", "--to", str(folder), "--force").stdout.endswith(f"{other}: written\n")
    assert sorted(folder.iterdir()) == [other, mine]
    assert run("deploy", "nginx", "--to", str(mine)).stderr == (
        f"hvd: {mine}/nginx.conf is there, and differs: --force overwrites it\n"
    )


def test_no_link_is_followed_that_somebody_has_put_there(tmp_path: Path) -> None:
    """Under any name that could be guessed: root may write into a folder of others."""
    before = tmp_path / "before"
    for name in ("prometheus.yml", "alerts.yml"):
        (tmp_path / f".{name}.new").symlink_to(before)
    assert run("deploy", "prometheus", "--to", str(tmp_path)).returncode == 0
    assert not before.exists()


def test_several_files_are_printed_with_their_names() -> None:
    """One is printed as it is, for a pipe."""
    assert run("deploy", "prometheus").stdout.startswith("# ---- prometheus.yml ----\n# Prometheus: ")
    assert run("deploy", "nginx").stdout == (DEPLOY / "nginx.conf").read_text()
    assert run("deploy", "apache").returncode == 2
