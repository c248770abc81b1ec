"""`hvd serve`: hvd's own daemon, for installations in which hvd is the only command on the path (pipx, uv tool)."""

import argparse
import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from hvd.errors import CannotStart

OWN_CONF = "python:hvd.gunicorn_conf"

_EPILOG = """\
examples:
  hvd serve                                        as hvd.toml and the variables say: hvd check shows them
  hvd serve -- --workers 4 --access-logfile -      any option of gunicorn's, after --

It becomes gunicorn -c python:hvd.gunicorn_conf. HUP reloads, USR2 upgrades, TERM stops."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Those of this command."""
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.usage = "hvd serve [-- options of gunicorn]"
    command.epilog = _EPILOG


def run(args: argparse.Namespace) -> NoReturn:
    """Execute gunicorn's own program in this process's place: an upgrade (USR2) executes that once more.

    Raises CannotStart where it isn't installed beside hvd.
    """
    program = gunicorn_beside(sys.argv[0])
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, str(program), "-c", OWN_CONF, *args.gunicorn])


def gunicorn_beside(command: str) -> Path:
    """The program gunicorn of the same installation as the command hvd, which may be reached by a link.

    It is a program, as `python -m gunicorn` can't be upgraded: it has gunicorn's folder first on the path of the new
    master, which hides modules of the library. Raises CannotStart where there is none.
    """
    folders = list(dict.fromkeys(_folders(command)))
    for folder in folders:
        if (folder / "gunicorn").is_file():
            return folder / "gunicorn"
    places = ", ".join(map(str, folders))
    raise CannotStart(f"no program gunicorn is in {places}: install hvd in an environment of its own")


def _folders(command: str) -> Iterator[Path]:
    if os.path.isfile(command):
        yield Path(command).resolve().parent
    yield Path(sys.executable).parent  # of a virtual environment: not resolved, which would lead out of it
    yield Path(sysconfig.get_path("scripts"))
