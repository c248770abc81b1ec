"""`hvd serve`: gunicorn's program is found where hvd is, and gets the options."""

import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from hvd.cli import serve
from hvd.cli.main import main
from hvd.errors import CannotStart


def test_the_program_beside_the_command_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the real one: pipx and uv have nothing but a link to it on the PATH. With what stands behind --."""
    (tmp_path / "hvd").touch()
    (tmp_path / "gunicorn").touch()
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "hvd").symlink_to(tmp_path / "hvd")
    calls: list[Any] = []
    monkeypatch.setattr(os, "execv", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "link" / "hvd")])
    main(["serve", "--", "--workers", "3"])
    command = [sys.executable, f"{tmp_path}/gunicorn", "-c", "python:hvd.gunicorn_conf", "--workers", "3"]
    assert calls == [(sys.executable, command)]


def test_an_option_before_the_dashes_is_told_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    """Who knows gunicorn's command line writes it so."""
    with pytest.raises(SystemExit, match="2"):
        main(["serve", "--workers", "3"])
    assert capsys.readouterr().err.endswith("; options of gunicorn's go after --\n")


def test_without_a_program_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the folders that were looked into, each once."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(CannotStart, match=f"^no program gunicorn is in {tmp_path}: install hvd in an environment"):
        serve.gunicorn_beside("hvd")
