"""`hvd snapshot`: all of a daemon's numbers as JSON."""

import argparse
import json

from hvd.cli.arguments import target
from hvd.cli.client import get_object
from hvd.cli.exit_codes import Exit


def run(args: argparse.Namespace) -> int:
    """Print them. Raises DaemonUnreachable and SettingsError."""
    address, _ = target(args)
    answer = get_object(address, "/api/v1/snapshot", args.timeout)
    print(json.dumps(answer, indent=None if args.compact else 2))  # in ASCII: control characters come escaped
    return Exit.OK
