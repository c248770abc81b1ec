"""`hvd snapshot` and `hvd watch`: what a daemon tells, as JSON. In ASCII: control characters come escaped."""

import argparse
import json
from itertools import islice

from hvd.cli.arguments import Exit
from hvd.cli.client import get_object
from hvd.cli.target import target
from hvd.cli.websocket import messages


def snapshot(args: argparse.Namespace) -> int:
    """Print all of a daemon's numbers. Raises DaemonUnreachable and SettingsError."""
    answer = get_object(target(args)[0], "/api/v1/snapshot", args.timeout)
    print(json.dumps(answer, indent=None if args.compact else 2))
    return Exit.OK


def watch(args: argparse.Namespace) -> int:
    """Print its messages, a line each, until there were --count of them. Raises the same."""
    for message in islice(messages(target(args)[0], args.timeout), args.count):
        print(json.dumps(json.loads(message), separators=(",", ":")), flush=True)
    return Exit.OK
