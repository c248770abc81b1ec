"""`hvd check`: the settings in force, and where each comes from."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

from hvd.cli.arguments import Exit
from hvd.cli.jobs.show import table
from hvd.errors import SettingsError
from hvd.settings.exposure import exposures
from hvd.settings.installed import chosen_environment, doubts
from hvd.settings.loader import Loaded, load, read_text
from hvd.settings.table import SETTINGS, Settings, written
from hvd.settings.tokens_file import read_tokens
from hvd.settings.variables import CONFIG
from hvd.texts import as_toml, plain


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `hvd check`."""
    parser.add_argument("--quiet", action="store_true", help="print what is wrong, and nothing else")
    parser.add_argument(
        "file",
        nargs="?",
        default="",
        metavar="FILE",
        help="a file of settings (default: what HVD_CONFIG names, else /etc/hvd/hvd.toml with its unit's environment)",
    )


def _require(file: str) -> None:
    """Raises SettingsError where it can't be read, in words of the argument."""
    try:
        if file:
            read_text(file)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingsError([f"{as_toml(file)} can't be read ({reason}): name a TOML file"]) from None


def run(args: argparse.Namespace) -> int:
    """Print them. Raises SettingsError with all that is wrong with them."""
    _require(args.file)
    environment = chosen_environment(args.file)
    for note in () if args.quiet else environment.notes:
        print(f"note: {plain(note, most=1000)}")
    try:
        loaded = load(environment.variables)
        settings, unread = _with_tokens(loaded.settings)
        exposed = () if unread else tuple(_exposures(settings))
        if exposed and environment.is_units:  # a reload would go on without them, and nobody would know
            raise SettingsError(exposed)
    except SettingsError as error:
        if file := environment.variables.get(CONFIG, "").strip():
            print(f"hvd: read {plain(file)}; environment: {environment.source}", file=sys.stderr)
        raise error
    if not args.quiet:
        _print(loaded, environment.source)
        for doubt in doubts(loaded.settings) if environment.is_units else ():
            print(f"warning: {doubt}")
        if trouble := loaded.settings.otlp_trouble:
            print(f"warning: {trouble}")
        for doubt in unread or exposed:
            print(f"warning: {doubt}")
    return Exit.OK


def _with_tokens(settings: Settings) -> tuple[Settings, Sequence[str]]:
    """The settings with their tokens, and why these aren't there where only the daemon's user may read them.

    Raises SettingsError for a file that no start and no reload takes.
    """
    try:
        return replace(settings, tokens=read_tokens(settings.tokens_file)), ()
    except SettingsError as error:
        if os.access(settings.tokens_file, os.R_OK):
            raise
        return settings, error.problems


def _exposures(settings: Settings) -> Iterator[str]:
    """What a start refuses, but for an app of one's own, whose `bind` is its own business."""
    if not settings.allow_public:
        yield from exposures(settings, [("admin_bind", settings.admin_bind), ("bind", settings.bind)])


def _print(loaded: Loaded, environment: str) -> None:
    settings, sources, file = loaded[:3]
    rows = [(written(key), SETTINGS[key].as_text(getattr(settings, key)), source) for key, source in sources.items()]
    rows.append(("block", as_toml(settings.block_name), "from instance"))
    print(f"file: {as_toml(file) if file else 'none'}")
    print(f"environment: {environment}")
    print("\n".join(table(rows)))
    for template, pattern in settings.routes.items():
        print(f"route {template}: {as_toml(pattern)}")
    for kind in settings.job_kinds.values():
        params = ", ".join(f"{name}: {param.TYPE}" for name, param in kind.params.items())
        print(f"kind of job {kind.name}: {as_toml(kind.command)}, params {params or 'none'}")
    for kind in settings.job_kinds.values():
        for doubt in kind.doubts():
            print(f"warning: {doubt}")
