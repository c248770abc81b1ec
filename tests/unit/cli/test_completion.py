"""`hvd completion`: the real shells complete commands, options and folders with it."""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hvd.cli.main import main
from tests.support.pseudo import Pseudo


def script(shell: str, folder: Path) -> Path:
    """What the command prints, in a file."""
    path = folder / ("_hvd" if shell == "zsh" else f"hvd.{shell}")
    with path.open("w") as file, contextlib.redirect_stdout(file):
        main(["completion", shell])
    return path


def output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_fish_completes(tmp_path: Path) -> None:
    """It says what it would offer, with what the help says of it."""
    path = script("fish", tmp_path)
    environ = f"set -x HOME {tmp_path}; set -x XDG_DATA_HOME {tmp_path}; set -x XDG_CONFIG_HOME {tmp_path}"
    for line, offered in (("hvd dep", "deploy\twrite what"), ("hvd jobs wa", "wait\t"), ("hvd stacks --al", "--all\t")):
        text = output("fish", "--no-config", "-c", f"{environ}; source {path}; complete -C '{line}'")
        assert [each.startswith(offered) for each in text.splitlines()] == [True], text


def test_bash_completes(tmp_path: Path) -> None:
    """Each word at its place."""
    path = script("bash", tmp_path)
    (tmp_path / "a-folder").mkdir()
    (tmp_path / "a-file").touch()
    for line, offered in (
        ("hvd dep", ["deploy"]),
        ("hvd deploy ngi", ["nginx"]),
        ("hvd completion ", ["bash", "zsh", "fish"]),
        (f"hvd deploy nginx --to {tmp_path}/a-f", [f"{tmp_path}/a-folder"]),
    ):
        words = line.split(" ")
        array = " ".join(f"'{word}'" for word in words)
        ask = f"COMP_WORDS=({array}) COMP_CWORD={len(words) - 1}; _shtab_hvd; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        assert output("bash", "--norc", "-c", f"source {path}; {ask}").split() == offered


def test_zsh_completes(tmp_path: Path) -> None:
    """In a terminal, as it has no other way to be asked."""
    script("zsh", tmp_path)
    zsh = shutil.which("zsh")
    assert zsh
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "vt100", "PS1": "ready> "}
    with Pseudo([zsh, "-f", "-i"], 100, 30, environ) as shell:
        shell.shows("ready>")
        shell.press(f"fpath=({tmp_path} $fpath); autoload -U compinit; compinit -u -D; clear; print loaded\n")
        shell.shows("loaded\nready>")
        shell.press("hvd dep\tngi\t--fo\t")
        shell.shows("hvd deploy nginx --force")


def test_the_help_says_where_it_goes(capsys: pytest.CaptureFixture[str]) -> None:
    """A line to copy for each shell; of any other it says which there are."""
    with pytest.raises(SystemExit):
        main(["completion", "--help"])
    text = capsys.readouterr().out
    assert all(f"  hvd completion {shell} > ~/" in text for shell in ("bash", "zsh", "fish"))
    with pytest.raises(SystemExit, match="2"):
        main(["completion", "csh"])
    assert "choose from" in capsys.readouterr().err
