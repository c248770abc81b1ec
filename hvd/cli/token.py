"""`hvd token`: make, list and revoke the tokens of tokens_file."""

import argparse
import os
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hvd.cli.arguments import Exit
from hvd.cli.daemons import daemon_named, running_daemons
from hvd.cli.jobs.show import table
from hvd.cli.master_process import MasterProcess
from hvd.settings.installed import chosen_environment
from hvd.settings.loader import Loaded, load
from hvd.settings.tokens import SCOPES, Scope, Token, digest_of, is_name
from hvd.settings.tokens_file import add_token, read_tokens, remove_token
from hvd.texts import UNKNOWN, rfc3339

BYTES = 32
"""Random bytes of a token: nobody finds 256 bits by trying."""

_ABOUT = """\
A token is shown once, by `new`, on standard output; the file has its hash alone. To replace one, make another under a
new name, give it to whoever has the old one, and revoke that.

examples:
  hvd token new prometheus --scope read --reload
  hvd token list
  hvd token revoke prometheus --reload"""


def add_parser(commands: Any) -> None:
    """Put the command's parser into `commands`."""
    parser = commands.add_parser(
        "token",
        help="make, list and revoke tokens",
        epilog=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    file = argparse.ArgumentParser(add_help=False)
    file.add_argument(
        "--file", type=_path, metavar="PATH", help="the file of tokens (default: tokens_file of the settings)"
    )
    change = argparse.ArgumentParser(add_help=False, parents=[file])
    change.add_argument("--reload", action="store_true", help="have the daemon read the file again (SIGHUP)")
    change.add_argument("name", type=_name, metavar="NAME", help="its name, which no other token has")
    new = actions.add_parser("new", parents=[change], help="make a token, and show it once")
    new.add_argument("--scope", choices=SCOPES, default=Scope.READ.word, help="what it opens (default: read)")
    new.set_defaults(run=_new)
    actions.add_parser("list", parents=[file], help="show names, scopes, and when they were made").set_defaults(
        run=_list
    )
    actions.add_parser("revoke", parents=[change], help="end a token").set_defaults(run=_revoke)


def _new(args: argparse.Namespace) -> int:
    token, path = secrets.token_urlsafe(BYTES), _file(args)
    add_token(path, Token(args.name, SCOPES[args.scope], digest_of(token), rfc3339(time.time_ns())))
    print(token, flush=True)
    _say(f"{args.name} may {args.scope}: its token is above, and shown once; its hash is in {path}")
    return _take_effect(args)


def _list(args: argparse.Namespace) -> int:
    tokens = read_tokens(_file(args))
    rows = [(token.name, token.scope.word, token.made or UNKNOWN) for token in tokens or ()]
    print("\n".join(table([("NAME", "SCOPE", "MADE"), *rows])) if rows else f"no token is in {_file(args)}")
    return Exit.OK


def _revoke(args: argparse.Namespace) -> int:
    path = _file(args)
    remove_token(path, args.name)
    _say(f"{args.name} is out of {path}")
    if not read_tokens(path):
        _say("no token is left in it, so nobody has one; to do without tokens, remove the file and reload")
    return _take_effect(args)


def _take_effect(args: argparse.Namespace) -> int:
    """Have the daemon read the file again, or say how."""
    masters = _masters()
    if not args.reload:
        how = f"kill -HUP {masters[-1]}" if masters else "a daemon reads it when it starts"
        _say(f"in force after a reload: systemctl reload hvd, or {how}" if masters else f"in force later: {how}")
        return Exit.OK
    if not masters:
        _say("no daemon of these settings runs here: it reads the file when it starts")
        return Exit.OK
    for pid in masters:
        MasterProcess.of(pid).send(signal.SIGHUP)
    _say(f"process {', '.join(map(str, masters))} was told to reload; its log says if it could not")
    return Exit.OK


def _masters() -> Sequence[int]:
    """The masters of the daemon of the settings; of the only one that runs, where these name none."""
    daemons, (settings, sources, *_) = running_daemons(), _loaded()
    is_named = any(sources[key] != "default" for key in ("bind", "instance", "admin_bind"))
    chosen = daemon_named(daemons, settings.instance)
    if not chosen and not is_named and len(daemons) == 1:
        chosen = daemons[0]
    block = chosen.block if chosen else None
    # Root sends no signal to a process just because another user's block names it.
    return [pid for pid in block.masters if MasterProcess.of(pid).user == block.user] if block else ()


def _file(args: argparse.Namespace) -> Path:
    path: Path = args.file or _loaded().settings.tokens_file
    return path


def _loaded() -> Loaded:
    """The settings of this shell, or else those of the daemon that is installed, as its unit has them."""
    return load(chosen_environment("").variables)


def _say(text: str) -> None:
    print(f"hvd: {text}", file=sys.stderr)


def _name(text: str) -> str:
    if not is_name(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name: 1 to 64 of the characters A-Z a-z 0-9 . _ -")
    return text


def _path(text: str) -> Path:
    return Path(os.path.abspath(text))
