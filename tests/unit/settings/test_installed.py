"""The settings of an installed daemon: which file, and which environment."""

import re
from pathlib import Path

import pytest

from hvd.settings.installed import DIRECTORIES, FOLDER, STOP_SECONDS, chosen_environment, doubts
from hvd.settings.loader import load

UNIT = (Path(__file__).parents[3] / "deploy" / "hvd.service").read_text()


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The folder of an installed daemon, with its two files."""
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "hvd.toml").write_text("workers = 3\n")
    (folder / "hvd.env").write_text('HVD_BIND="127.0.0.1:81"\nno variable\n')
    return folder


def test_the_installed_file_is_read_with_its_units_environment(installed: Path, tmp_path: Path) -> None:
    """And without what this shell has, which the unit doesn't see; all of that is told."""
    shell = {"HVD_BIND": "127.0.0.1:1", "PORT": "2", "PATH": "/bin"}
    variables, source, notes, _ = chosen_environment(environ=shell, folder=installed, here=tmp_path)
    loaded = load(variables)
    assert (loaded.file, loaded.settings.workers, loaded.settings.bind) == (f"{installed}/hvd.toml", 3, "127.0.0.1:81")
    assert str(loaded.settings.state_dir) == "/var/lib/hvd"
    assert source == f"the unit's, with {installed}/hvd.env"
    assert notes == (
        f"{installed}/hvd.env:2 is no NAME=value, and systemd passes over it",
        "not read, as the unit doesn't have them: HVD_BIND of this shell",
    )
    assert chosen_environment(f"{installed}/hvd.toml", shell, folder=installed) == (variables, source, notes, True)


def test_in_the_unit_its_own_variables_win(installed: Path) -> None:
    """It has HVD_CONFIG, and may have more, by a drop-in; its file may be root's alone, or not there."""
    own = {"HVD_CONFIG": f"{installed}/hvd.toml", "HVD_BIND": "127.0.0.1:82", "STATE_DIRECTORY": "/srv/hvd"}
    variables, source, _, is_units = chosen_environment(environ=own, folder=installed)
    settings = load(variables).settings
    assert (settings.bind, str(settings.state_dir)) == ("127.0.0.1:82", "/srv/hvd")
    assert source.endswith(", and this process's")
    assert is_units
    (installed / "hvd.env").unlink()
    variables, source, notes, _ = chosen_environment(environ=own, folder=installed)
    assert (load(variables).settings.bind, notes) == ("127.0.0.1:82", ())
    assert "which isn't there" in source
    (installed / "hvd.env").mkdir()
    assert "can't be read (Is a directory)" in chosen_environment(environ=own, folder=installed).notes[0]


def test_a_file_that_is_named_is_read_with_this_process_s_variables(installed: Path, tmp_path: Path) -> None:
    """Whatever is installed. A file that lies in the folder is not read by itself, nor is the installed one then."""
    other = tmp_path / "hvd.toml"
    other.write_text("workers = 4\n")
    environ = {"HVD_CONFIG": f"{installed}/hvd.toml", "HVD_BIND": "127.0.0.1:1"}
    assert load(chosen_environment(str(other), environ, folder=installed).variables).settings.workers == 4
    variables, source, _, is_units = chosen_environment(environ={}, folder=installed, here=tmp_path)
    assert (variables, is_units) == ({}, False)
    assert "hvd check hvd.toml" in source
    nothing = chosen_environment(environ={}, folder=tmp_path / "none", here=tmp_path / "none")
    assert (nothing.variables, nothing.source) == ({}, "this process's, where HVD_CONFIG names no file")


def test_a_stop_that_the_unit_would_cut_short_is_told() -> None:
    """With the line of the unit that is to be changed."""
    (told,) = doubts(load({"HVD_GRACEFUL_TIMEOUT": "50", "HVD_JOBS_GRACE": "10.5"}).settings)
    assert told.startswith("graceful_timeout and jobs.grace are 60.5 s together: the unit's TimeoutStopSec= must")
    assert not [*doubts(load({}).settings)]


def test_it_is_what_the_unit_says() -> None:
    """The unit that is shipped."""
    lines = dict(re.findall(r"^(\w+)=(.*)$", UNIT, re.MULTILINE))
    assert lines["Environment"] == f"HVD_CONFIG={FOLDER}/hvd.toml"
    assert int(lines["TimeoutStopSec"]) == STOP_SECONDS
    assert lines["EnvironmentFile"] == f"-{FOLDER}/hvd.env"
    assert {
        "STATE_DIRECTORY": f"/var/lib/{lines['StateDirectory']}",
        "RUNTIME_DIRECTORY": f"/run/{lines['RuntimeDirectory']}",
    } == DIRECTORIES
