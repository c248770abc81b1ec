"""`hvd watch`: a daemon's WebSocket messages as they come."""

import argparse
import json
from itertools import islice

from hvd.cli.arguments import target
from hvd.cli.exit_codes import Exit
from hvd.cli.websocket import messages


def run(args: argparse.Namespace) -> int:
    """Print a line for each, until there were --count of them. Raises DaemonUnreachable and SettingsError."""
    address, _ = target(args)
    for message in islice(messages(address, args.timeout), args.count):
        print(json.dumps(json.loads(message), separators=(",", ":")), flush=True)  # control characters come escaped
    return Exit.OK
