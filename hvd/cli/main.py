"""The command `hvd`: serving an app, the settings, a running daemon's numbers, its jobs."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from hvd import __version__
from hvd.cli import (
    arguments,
    as_json,
    check,
    completion,
    daemon_list,
    demo,
    deploy,
    run,
    serve,
    stacks,
    status,
    token,
    upgrade,
)
from hvd.cli.arguments import Exit
from hvd.cli.jobs import commands as jobs
from hvd.cli.target import target
from hvd.core.descriptors import fill_standard
from hvd.errors import CannotStart, DaemonRefused, DaemonsAmbiguous, DaemonUnreachable, SettingsError, StillOpen
from hvd.settings.complaints import complaint
from hvd.settings.journal import complaint_line
from hvd.texts import plain

_EXAMPLES = f"""\
examples:
  hvd run shop.wsgi:app                    serve an app with hvd under it, and its figures on a page
  hvd serve                                hvd's own daemon, with the settings that hvd check shows
  hvd deploy systemd --to FOLDER           unit and settings for this installation; also nginx, prometheus and others
  hvd demo                                 a small shop with load, for a look at hvd
  hvd check                                settings in force, and where each comes from; of the installed daemon,
                                           /etc/hvd/hvd.toml and hvd.env, where HVD_CONFIG names no file
  hvd check new.toml                       the same with a file
  hvd upgrade                              go over to the version on the disk, or back, while requests go on
  hvd list                                 the daemons that run here, and their health
  hvd status                               health of the daemon that these settings describe
  hvd status --instance shop               health of another one on this machine
  hvd status --url http://10.0.0.7:8080    health of one elsewhere
  hvd top --url https://ops.example/hvd    one behind a proxy with TLS, below a path
  hvd snapshot --url unix:/run/hvd/http.sock --compact
  hvd watch --count 4                      its next four WebSocket messages, a line each
  hvd top                                  all of it in the terminal, live; --once prints it as text
  hvd stacks                               where each thread of the workers is in its code
  hvd stacks 4711 --all                    the same of one worker, with the threads that are idle
  hvd token new ci --scope jobs            make a token, and show it once
  hvd jobs --help                          submit jobs, list them, wait for them, cancel them

{arguments.EXIT_CODES}

Without --url and --instance the daemon of the settings is meant: its admin server answers, also while all workers
are stuck. Where neither bind nor instance is set and one daemon of this user runs (for root: one of anybody), it is
that one.
A daemon is started by `hvd run`, `hvd serve`, or by gunicorn: see the README."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Raises SystemExit: 2 for wrong arguments, 0 after --help or --version."""
    fill_standard()
    args = _read(list(sys.argv[1:] if argv is None else argv))
    try:
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except SettingsError as error:
        return _fail(complaint(error), Exit.WRONG)
    except (DaemonUnreachable, CannotStart) as error:
        return _fail(f"hvd: {error}", Exit.UNREACHABLE)
    except DaemonsAmbiguous as error:
        return _fail(f"hvd: {error}", Exit.WRONG)
    except DaemonRefused as error:
        return _fail("\n".join(plain(line, most=2000) for line in f"hvd: {error}".splitlines()), Exit.REFUSED)
    except StillOpen as error:
        return _fail(f"hvd: {error}", Exit.STILL_OPEN)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except OSError as error:  # of stdout: those of the connection have become DaemonUnreachable
        # The interpreter flushes stdout once more at its end: give it something that takes the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return Exit.BROKEN_PIPE
        return _fail(f"hvd: the output can't be written ({error.strerror})", Exit.UNREACHABLE)


def _fail(message: str, code: int) -> int:
    print(complaint_line(message), file=sys.stderr)
    return code


def _read(argv: list[str]) -> argparse.Namespace:
    own, gunicorns = run.split(argv)
    parser = parser_of_all()
    args, unknown = parser.parse_known_args(own)
    if unknown:
        hint = "; options of gunicorn's go after --" if args.run in (run.run, serve.run) else ""
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    args.gunicorn = gunicorns
    return args


def parser_of_all() -> argparse.ArgumentParser:
    """The parser of the command line, with all commands."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "hvd",
        description="Serve an app, and look at what runs.",
        epilog=_EXAMPLES,
        formatter_class=raw,
    )
    parser.add_argument("--version", action="version", version=f"hvd {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    token_file, patience = _token_file(), _patience()
    url = argparse.ArgumentParser(add_help=False, parents=[_which(), token_file])
    remote = argparse.ArgumentParser(add_help=False, parents=[url, patience])

    def add(name: str, does: Callable[[argparse.Namespace], int], help: str, *parents: argparse.ArgumentParser) -> Any:
        command = commands.add_parser(name, parents=parents, help=help)
        command.set_defaults(run=does)
        return command

    run.add_arguments(add("run", run.run, "serve an app with hvd under it"))
    serve.add_arguments(add("serve", serve.run, "serve hvd's own endpoints: the daemon for this machine"))
    demo.add_arguments(add("demo", demo.run, "show a small shop with load, under hvd"))
    check.add_arguments(add("check", check.run, "show the settings in force, or all that is wrong with them"))
    deploy.add_arguments(add("deploy", deploy.run, "write what systemd, nginx and others need, with these settings"))
    status.add_arguments(add("status", status.run, "show the health of a running daemon", remote))
    upgrade.add_arguments(add("upgrade", upgrade.run, "go over to the version on the disk, without a lost request"))

    lists = add("list", daemon_list.run, "list the daemons that run on this machine", patience, token_file)
    lists.add_argument("--json", action="store_true", help="as JSON")
    lists.epilog = "exit codes: 0 all are healthy, 3 one is not, or its admin server does not answer, 1 none runs"

    stacks.add_arguments(add("stacks", stacks.run, "show where each thread of the workers is in its code", remote))

    numbers = add("snapshot", as_json.snapshot, "print all of a daemon's numbers as JSON", remote)
    numbers.add_argument("--compact", action="store_true", help="on one line")

    messages = add("watch", as_json.watch, "print a daemon's WebSocket messages as they come", remote)
    messages.add_argument(
        "--count", type=arguments.message_count, metavar="N", help="end after so many (default: when interrupted)"
    )

    _add_arguments_of_top(add("top", _top, "show a daemon's numbers on the whole screen, live", remote))
    token.add_parser(commands)
    jobs.add_parser(commands, url, remote)
    completion.add_arguments(add("completion", completion.run, "print the completion for a shell"), parser)
    return parser


def _which() -> argparse.ArgumentParser:
    """The options that say which daemon is meant."""
    options = argparse.ArgumentParser(add_help=False)
    which = options.add_mutually_exclusive_group()
    which.add_argument(
        "--url",
        type=arguments.address,
        help="the daemon: http://HOST:PORT, https://HOST/PATH, HOST:PORT (HTTP; without :PORT at 80) or unix:PATH "
        "(default: the one that the settings describe)",
    )
    which.add_argument(
        "--instance",
        type=arguments.instance,
        metavar="NAME",
        help="the daemon of that name on this machine: hvd list has them",
    )
    options.add_argument(
        "--ca-file",
        metavar="PATH",
        help="for https: a file (PEM) of the authorities to trust instead of the system's (else HVD_CA_FILE)",
    )
    return options


def _token_file() -> argparse.ArgumentParser:
    option = argparse.ArgumentParser(add_help=False)
    option.add_argument(
        "--token-file", metavar="PATH", help="a file with a token, for a daemon that asks for one (else HVD_TOKEN)"
    )
    return option


def _patience() -> argparse.ArgumentParser:
    option = argparse.ArgumentParser(add_help=False)
    option.add_argument(
        "--timeout",
        type=arguments.seconds,
        default=5.0,
        metavar="S",
        help="seconds to wait for an answer (default: 5)",
    )
    return option


def _add_arguments_of_top(top: argparse.ArgumentParser) -> None:
    top.add_argument("--once", action="store_true", help="print them as text, and end: 3 if not healthy")
    top.add_argument("--json", action="store_true", help="print them as a JSON object, and end: 3 if not healthy")
    top.add_argument(
        "--sort",
        choices=("requests", "rate", "cpu", "memory", "pid"),
        default="rate",
        help="order of the workers, and of the routes where they have it (default: rate)",
    )


def _top(args: argparse.Namespace) -> int:
    from hvd.cli.top import command  # rich takes longer to import than the other commands take

    return command.run(args, *target(args))
