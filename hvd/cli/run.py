"""`hvd run`: serve an app with hvd under it."""

import argparse
import sys
from collections.abc import Iterable

from hvd.cli.arguments import Exit
from hvd.errors import CannotStart
from hvd.settings.table import SETTINGS

SHORT = {"--bind": "-b", "--workers": "-w", "--worker-class": "-k"}

OPTIONS = {
    "--bind": ("ADDRESS", "where the app is served: HOST:PORT or unix:PATH (default: $PORT, else 127.0.0.1:8000)"),
    "--workers": ("N", "worker processes (default: $WEB_CONCURRENCY, else 1)"),
    "--threads": ("N", "requests at once in a worker (default: 1)"),
    "--worker-class": ("NAME", "gunicorn's worker class (default: sync; for an ASGI app one that fits)"),
}
"""The usual ones of gunicorn's, which it gets as they are."""

_EPILOG = """\
examples:
  hvd run shop.wsgi:app                            the app on 127.0.0.1:8000, hvd's page on 127.0.0.1:9464
  hvd run "shop:create_app()" --workers 4 --threads 8
  hvd run shop.asgi:app --worker-class uvicorn_worker.UvicornWorker
  hvd run shop:app -- --timeout 90 --access-logfile -    any option of gunicorn's, after --
  hvd run shop:app --admin-bind 0.0.0.0:9464       the page for other machines too: they can read all figures
  hvd run                                          no app: hvd's own daemon, which other processes join

A gunicorn.conf.py in this folder is read, and its hooks are called beside hvd's. Without --admin-bind and
HVD_ADMIN_BIND the page has the first free port from 9464 on. HUP reloads, USR2 upgrades, TERM stops."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Those of this command."""
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.usage = "hvd run [APP] [options] [-- options of gunicorn]"
    command.epilog = _EPILOG
    command.add_argument("app", nargs="?", metavar="APP", help="MODULE:NAME or MODULE:FACTORY() of a WSGI or ASGI app")
    for name, (metavar, help) in OPTIONS.items():
        command.add_argument(*filter(None, (SHORT.get(name), name)), metavar=metavar, help=help)
    command.add_argument(
        "--admin-bind", type=_admin_bind, metavar="ADDRESS", help="where hvd's page, /metrics and /ws are"
    )


def split(argv: list[str]) -> tuple[list[str], list[str]]:
    """The command line of this command, or of `hvd serve`, and what stands behind -- in it, which is gunicorn's."""
    if argv[:1] not in (["run"], ["serve"]) or "--" not in argv:
        return argv, []
    at = argv.index("--")
    return argv[:at], argv[at + 1 :]


def run(args: argparse.Namespace) -> int:
    """Serve until it is stopped. Raises CannotStart for an app that can't be had."""
    from hvd.daemon.run.application import RunApplication  # gunicorn, which no other command needs

    if sys.argv[0].endswith("__main__.py"):  # an upgrade executes this again, by the module's name
        sys.argv[:1] = ["-m", "hvd"]
    try:
        RunApplication([*_gunicorns(args)], args.admin_bind or "").run()
    except OSError as error:
        raise CannotStart(f"gunicorn can't serve: {error}") from error
    return Exit.OK


def _gunicorns(args: argparse.Namespace) -> Iterable[str]:
    for name in OPTIONS:
        value = getattr(args, name[2:].replace("-", "_"))
        if value is not None:
            yield from (name, value)
    yield from args.gunicorn
    if args.app:
        yield args.app


def _admin_bind(text: str) -> str:
    setting = SETTINGS["admin_bind"]
    try:
        value: str = setting.type.read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} must be {str(error) or setting.type.expected}") from None
    return value
