"""The settings of an installed daemon: the file and the environment that its unit (deploy/hvd.service) gives it."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from hvd.settings.env_file import read_variables
from hvd.settings.loader import read_text
from hvd.settings.table import Settings
from hvd.settings.variables import CONFIG, PREFIX, environment

FOLDER = Path("/etc/hvd")
DIRECTORIES = {"STATE_DIRECTORY": "/var/lib/hvd", "RUNTIME_DIRECTORY": "/run/hvd"}
"""What systemd adds for the unit's StateDirectory= and RuntimeDirectory=."""


STOP_SECONDS = 60
"""TimeoutStopSec= of the unit: what is left of the daemon by then is killed."""


class Environment(NamedTuple):
    """Variables to read settings from. `source` names for people where they come from, `notes` what was left out."""

    variables: Mapping[str, str]
    source: str
    notes: tuple[str, ...] = ()
    is_units: bool = False


def chosen_environment(
    file: str = "", environ: Mapping[str, str] = environment(), *, folder: Path = FOLDER, here: Path = Path()
) -> Environment:
    """What `file` is to be read with; without one, the file that HVD_CONFIG names, or else the installed one.

    The installed file is read with the environment of its unit. Where HVD_CONFIG names it, this process's variables
    are added, as those of the unit itself may be.
    """
    installed, named = folder / "hvd.toml", file or environ.get(CONFIG, "").strip()
    is_installed = _is_same(named, installed) if named else installed.exists() and not (here / "hvd.toml").exists()
    if is_installed:
        return _of_unit(installed, folder / "hvd.env", environ, has_own=bool(named) and not file)
    if not named:
        hint = " (hvd.toml in this folder is read by: hvd check hvd.toml)" if (here / "hvd.toml").exists() else ""
        return Environment(environ, f"this process's, where {CONFIG} names no file{hint}")
    return Environment({**environ, CONFIG: named}, "this process's")


def doubts(settings: Settings) -> Iterator[str]:
    """What the unit as it is shipped does not leave room for, a sentence each."""
    stop = settings.graceful_timeout + settings.jobs_grace
    if stop >= STOP_SECONDS:
        yield (
            f"graceful_timeout and jobs.grace are {stop:g} s together: the unit's TimeoutStopSec= must be above, "
            f"it is {STOP_SECONDS} unless you have changed it (systemctl edit hvd)"
        )


def _is_same(named: str, installed: Path) -> bool:
    try:
        return os.path.samefile(named, installed)
    except OSError:
        return False


def _of_unit(installed: Path, file: Path, environ: Mapping[str, str], *, has_own: bool) -> Environment:
    own = {name: text for name, text in environ.items() if name.startswith(PREFIX) and name != CONFIG}
    others = {name: text for name, text in environ.items() if not name.startswith(PREFIX)}
    others.pop("PORT", None)  # of whatever shell this is: a unit has neither
    others.pop("WEB_CONCURRENCY", None)
    variables, source, notes = _of_file(file)
    if has_own:
        source += ", and this process's"
    elif own:
        notes = (*notes, f"not read, as the unit doesn't have them: {', '.join(sorted(own))} of this shell")
    unit = {**DIRECTORIES, **others, CONFIG: str(installed), **variables, **(own if has_own else {})}
    return Environment(unit, source, notes, is_units=True)


def _of_file(file: Path) -> tuple[dict[str, str], str, tuple[str, ...]]:
    try:
        variables, wrong = read_variables(read_text(str(file)))
    except FileNotFoundError:
        return {}, f"the unit's, without {file}, which isn't there", ()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        return {}, "the unit's", (f"{file} can't be read ({reason}): as root it can",)
    notes = tuple(f"{file}:{number} is no NAME=value, and systemd passes over it" for number in wrong)
    return variables, f"the unit's, with {file}", notes
