"""The token that a command presents, which is never in its arguments, as other users of the machine can read those; and
the file of the certificate authorities that it trusts.
"""

import argparse
import ssl

from hvd.cli import tls
from hvd.errors import SettingsError
from hvd.settings.loader import read_text
from hvd.settings.table import SETTINGS, variable
from hvd.settings.variables import CA_FILE, environment
from hvd.texts import quoted


def explicit_token(args: argparse.Namespace) -> str:
    """The token of --token-file, or else of HVD_TOKEN; "" without both. Raises SettingsError for what can be none."""
    if path := getattr(args, "token_file", None):
        return _checked(_read(path), f"the file {quoted(path)}")
    text = environment().get(variable("token"), "").strip()
    return _checked(text, variable("token")) if text else ""


def ca_file(args: argparse.Namespace) -> str:
    """The file of --ca-file, or else of HVD_CA_FILE; "" without both. Raises SettingsError for what can be none."""
    option = getattr(args, "ca_file", None)
    path: str = option or environment().get(CA_FILE, "").strip()
    if not path:
        return ""
    try:
        tls.context(path)
    except OSError as error:  # ssl's too
        reason = "it has no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        name = "--ca-file" if option else CA_FILE
        raise SettingsError([f"{name} is {quoted(path)}, which can't be used: {reason}"]) from None
    return path


def _read(path: str) -> str:
    try:
        return read_text(path).strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingsError([f"--token-file is {quoted(path)}, which can't be read: {reason}"]) from None


def _checked(text: str, source: str) -> str:
    kind = SETTINGS["token"].type
    try:
        token: str = kind.read(text)
    except ValueError:
        raise SettingsError([f"{source} has no token: it must be {kind.expected}"]) from None
    return token
