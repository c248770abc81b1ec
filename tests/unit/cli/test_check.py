"""`hvd check`: every setting, its source, and what this machine lacks."""

import argparse
from pathlib import Path

import pytest

from hvd.cli import check
from hvd.errors import SettingsError
from hvd.settings.installed import Environment
from hvd.settings.table import SETTINGS, written
from tests.unit.cli.daemon import run


def test_check_shows_every_setting_with_its_source(tmp_path: Path) -> None:
    """Aligned, with the file, and the block's name at the end."""
    file = tmp_path / "hvd.toml"
    file.write_text("workers = 3\n")
    done = run("check", HVD_CONFIG=str(file), HVD_BIND="unix:/run/a.sock", STATE_DIRECTORY="/s")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    head, lines = lines[:2], lines[2:]
    assert head == [f'file: "{file}"', "environment: this process's"]
    rows = [line.split() for line in lines]
    assert [row[0] for row in rows] == [*map(written, SETTINGS), "block"]
    assert ["bind", '"unix:/run/a.sock"', "HVD_BIND"] in rows
    assert ["workers", "3", "hvd.toml"] in rows
    assert ["state_dir", '"/s"', "STATE_DIRECTORY"] in rows
    assert ["threads", "4", "default"] in rows
    assert rows[-1][1].startswith('"hvd-run-a.sock-')
    places = {line.index(row[2], line.index(row[1]) + len(row[1])) for line, row in zip(lines, rows, strict=True)}
    assert len(places) == 1, "the last column is aligned"


def test_check_lists_the_kinds_of_job_and_what_this_machine_lacks_for_them(tmp_path: Path) -> None:
    """A line each; what is missing is a warning, since the daemon runs as another user."""
    file = tmp_path / "hvd.toml"
    file.write_text(
        '[jobs.kinds.sum]\ncommand = ["no-such-program", "{file}", "{n}\\u001b"]\nenv = { KEY = "geheim" }\n'
        f'[jobs.kinds.sum.params]\nfile = {{ type = "path", roots = ["{tmp_path}"] }}\n'
        'n = { type = "int", min = 0, max = 9 }\n[jobs.kinds.nothing]\ncommand = ["true"]\n'
    )
    done = run("check", HVD_CONFIG=str(file), PATH="/usr/bin:/bin")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-3:] == [
        'kind of job sum: ["no-such-program", "{file}", "{n}\\u001b"], params file: path, n: int',
        'kind of job nothing: ["true"], params none',
        'warning: jobs.kinds.sum.command: no program "no-such-program" is found by this user',
    ]
    assert "geheim" not in done.stdout


def test_check_does_not_show_the_token(tmp_path: Path) -> None:
    """Neither a right one nor a wrong one. A file that lies in the folder is not read by itself."""
    done = run("check", HVD_TOKEN="geheim" * 4)
    assert done.stdout.startswith("file: none\nenvironment: this process's, where HVD_CONFIG names no file")
    assert ["token", "***", "HVD_TOKEN"] in [line.split() for line in done.stdout.splitlines()]
    assert "geheim" not in done.stdout
    done = run("check", HVD_TOKEN="geheim")
    assert done.returncode == 2
    assert "geheim" not in done.stdout + done.stderr


def test_check_warns_of_what_a_start_refuses(tmp_path: Path) -> None:
    """An address of other machines' without a token. An app of one's own may have one, so it is no mistake for all."""
    environ = {"HVD_BIND": "0.0.0.0:80", "HVD_STATE_DIR": str(tmp_path)}
    done = run("check", **environ)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("warning: bind is 0.0.0.0:80, which other machines reach")
    for more in ({"HVD_ALLOW_PUBLIC": "true"}, {"HVD_TOKEN": "t" * 20}):
        assert "warning" not in run("check", **environ, **more).stdout


def test_check_fails_for_an_address_with_which_no_reload_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the installed daemon the address is its own, so ExecReload= fails instead of changing nothing."""
    settings = {"HVD_BIND": "0.0.0.0:80", "HVD_TOKENS_FILE": "/nonexistent/tokens"}
    unit = Environment(settings, "the unit's", is_units=True)
    monkeypatch.setattr(check, "chosen_environment", lambda file: unit)
    with pytest.raises(SettingsError, match=r"bind is 0\.0\.0\.0:80, which other machines reach"):
        check.run(argparse.Namespace(file="", quiet=True))


def test_check_refuses_tokens_that_no_reload_takes(tmp_path: Path) -> None:
    """As the unit asks it before a reload: else one that was revoked by hand would go on, and only the log say so."""
    (tmp_path / "tokens").write_text("no token")
    for words in (("check",), ("check", "--quiet")):
        done = run(*words, HVD_STATE_DIR=str(tmp_path))
        assert (done.returncode, done.stdout) == (2, "")
        assert "line 1 is no token" in done.stderr


def test_check_lists_the_routes_in_their_order(tmp_path: Path) -> None:
    """A line each: the first that matches counts."""
    file = tmp_path / "hvd.toml"
    file.write_text("[routes]\n'/z/{id}' = '/z/[0-9]+'\n\"/a\" = '/a.*'\n")
    done = run("check", HVD_CONFIG=str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-2:] == ['route /z/{id}: "/z/[0-9]+"', 'route /a: "/a.*"']


def test_check_takes_a_file_and_says_what_it_read(tmp_path: Path) -> None:
    """Which HVD_CONFIG would not name; one with mistakes, or that can't be read, in words of the argument."""
    file = tmp_path / "new.toml"
    file.write_text("workers = 3\n")
    done = run("check", str(file), HVD_CONFIG="/nonexistent")
    assert done.stdout.startswith(f'file: "{file}"\n')
    file.write_text("workers = 0\nwrokers = 1\n")
    done = run("check", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"hvd: read {file}; environment: this process's\nhvd: 2 problems in the settings:")
    done = run("check", f"{tmp_path}/none.toml")
    assert done.returncode == 2
    assert f'"{tmp_path}/none.toml" can\'t be read (No such file or directory): name a TOML file' in done.stderr
