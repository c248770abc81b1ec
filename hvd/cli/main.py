"""The command `hvd`: look at the settings, at a running daemon, and at its jobs. `gunicorn` starts the daemon itself.

Exit codes: 0 all is well; 1 no daemon answers; 2 wrong settings or arguments; 3 the daemon is not healthy; 4 a job
that was waited for failed or was cancelled; 5 the daemon refused; 6 not all jobs ended in time.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from itertools import islice

from hvd import __version__
from hvd.cli.client import Address, get_object
from hvd.cli.jobs import commands as jobs
from hvd.cli.jobs.show import plain
from hvd.cli.panel import panel_lines
from hvd.cli.watch import messages
from hvd.core.descriptors import fill_standard
from hvd.errors import DaemonRefused, DaemonUnreachable, SettingsError, StillOpen
from hvd.settings.table import SETTINGS, complaint, load, written
from hvd.settings.value_types import shown

UNREACHABLE, WRONG, NOT_HEALTHY = 1, 2, 3
_BROKEN_PIPE = 128 + 13  # what a shell reports of a program that SIGPIPE ended
_INTERRUPTED = 128 + 2

_EXAMPLES = """\
examples:
  hvd check                                settings in force, and where each comes from
  HVD_CONFIG=/etc/hvd/hvd.toml hvd check   the same with a file
  hvd status                               health of the daemon that these settings describe
  hvd status --url http://10.0.0.7:8080    health of another one
  hvd snapshot --url unix:/run/hvd/http.sock --compact
  hvd watch --count 4                      its next four WebSocket messages, a line each
  hvd top                                  all of it in the terminal, live; --once prints it as text
  hvd jobs --help                          submit jobs, list them, wait for them, cancel them

exit codes:
  0 all is well, 1 no daemon answers, 2 wrong settings or arguments, 3 the daemon is not healthy,
  4 a job that was waited for failed or was cancelled, 5 the daemon refused, 6 not all jobs ended in time

The daemon is started by `gunicorn`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    fill_standard()
    args = _parser().parse_args(argv)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except SettingsError as error:
        return _fail(complaint(error), WRONG)
    except DaemonUnreachable as error:
        return _fail(f"hvd: {error}", UNREACHABLE)
    except DaemonRefused as error:
        return _fail("\n".join(plain(line, most=2000) for line in f"hvd: {error}".splitlines()), jobs.REFUSED)
    except StillOpen as error:
        return _fail(f"hvd: {error}", jobs.STILL_OPEN)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except OSError as error:  # of stdout: those of the connection have become DaemonUnreachable
        # The interpreter flushes stdout once more at its end: give it something that takes the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return _BROKEN_PIPE
        return _fail(f"hvd: the output can't be written ({error.strerror})", UNREACHABLE)


def _fail(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "hvd", description="Look at hvd's settings and at a running daemon.", epilog=_EXAMPLES, formatter_class=raw
    )
    parser.add_argument("--version", action="version", version=f"hvd {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    check = commands.add_parser("check", help="show the settings in force, or all that is wrong with them")
    check.set_defaults(run=_check)

    url = argparse.ArgumentParser(add_help=False)
    url.add_argument(
        "--url", type=_address, help="the daemon: http://HOST:PORT or unix:PATH (default: from the setting bind)"
    )
    remote = argparse.ArgumentParser(add_help=False, parents=[url])
    remote.add_argument(
        "--timeout", type=_seconds, default=5.0, metavar="S", help="seconds to wait for its answer (default: 5)"
    )
    status = commands.add_parser("status", parents=[remote], help="show the health of a running daemon")
    status.set_defaults(run=_status)

    snapshot = commands.add_parser("snapshot", parents=[remote], help="print all of a daemon's numbers as JSON")
    snapshot.add_argument("--compact", action="store_true", help="on one line")
    snapshot.set_defaults(run=_snapshot)

    watch = commands.add_parser("watch", parents=[remote], help="print a daemon's WebSocket messages as they come")
    watch.add_argument("--count", type=_count, metavar="N", help="end after so many (default: when interrupted)")
    watch.set_defaults(run=_watch)

    top = commands.add_parser("top", parents=[remote], help="show a daemon's numbers on the whole screen, live")
    top.add_argument("--once", action="store_true", help="print them as text, and end: 3 if not healthy")
    top.add_argument("--json", action="store_true", help="print them as a JSON object, and end: 3 if not healthy")
    top.add_argument(
        "--sort",
        choices=("requests", "rate", "cpu", "memory", "pid"),
        default="requests",
        help="order of the workers, and of the routes where they have it (default: requests)",
    )
    top.set_defaults(run=_top)

    jobs.add_parser(commands, url, remote, lambda args: _target(args)[0])
    return parser


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of messages from 1 on")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0, up to 3600")
    return seconds


def _check(_: argparse.Namespace) -> int:
    settings, sources, file = load()
    rows = [(written(key), SETTINGS[key].shown(getattr(settings, key)), source) for key, source in sources.items()]
    rows.append(("block", shown(settings.block_name), "from instance"))
    keys, values = (max(len(row[column]) for row in rows) for column in (0, 1))
    print(f"file: {shown(file)}" if file else "file: none, HVD_CONFIG names no file")
    for key, value, source in rows:
        print(f"{key:<{keys}}  {value:<{values}}  {source}")
    for kind in settings.job_kinds.values():
        params = ", ".join(f"{name}: {param.TYPE}" for name, param in kind.params.items())
        print(f"kind of job {kind.name}: {shown(kind.command)}, params {params or 'none'}")
    for doubt in (doubt for kind in settings.job_kinds.values() for doubt in kind.doubts()):
        print(f"warning: {doubt}")
    return 0


def _snapshot(args: argparse.Namespace) -> int:
    address, _ = _target(args)
    answer = get_object(address, "/api/v1/snapshot", args.timeout)
    print(json.dumps(answer, indent=None if args.compact else 2))  # in ASCII: control characters come escaped
    return 0


def _watch(args: argparse.Namespace) -> int:
    address, _ = _target(args)
    for message in islice(messages(address, args.timeout), args.count):
        print(json.dumps(json.loads(message), separators=(",", ":")), flush=True)  # control characters come escaped
    return 0


def _status(args: argparse.Namespace) -> int:
    address, stale_after = _target(args)
    answer = get_object(address, "/api/v1/snapshot", args.timeout)
    print("\n".join(panel_lines(answer, stale_after=stale_after, unicode=_can_print("┌─│"))))
    return 0 if answer.get("system_health") == "healthy" else NOT_HEALTHY


def _top(args: argparse.Namespace) -> int:
    from hvd.cli.top import command  # rich takes longer to import than the other commands take

    return command.run(args, *_target(args))


def _target(args: argparse.Namespace) -> tuple[Address, float]:
    """The daemon to ask, and the age in seconds from which what it observed is stale: two intervals and some."""
    if args.url:
        return args.url, 5.0
    settings = load().settings
    try:
        return Address.of_bind(settings.bind), 2 * settings.interval + 1
    except ValueError:
        raise SettingsError([f"bind is {shown(settings.bind)}, which names no port to ask: use --url"]) from None


def _can_print(text: str) -> bool:
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
