"""`hvd deploy`: what an operator installs, with the settings in force filled in.

The files are those of deploy/, which a wheel has as hvd/deploy_files. They are written for the defaults, and stay valid
as they are; so here each default in them gives way to the value in force, and nothing else changes.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import hvd
from hvd.cli.arguments import Exit
from hvd.core.files import replace_file
from hvd.settings.loader import Loaded, load
from hvd.settings.runtime_folder import ADMIN_SOCKET
from hvd.settings.table import SETTINGS, Settings, written
from hvd.texts import as_toml

UNIX = "unix:"
EXAMPLE = "hvd.toml"
PROGRAMS, FILE, USER = "/opt/hvd/bin", "/etc/hvd/hvd.toml", "hvd"
"""As the files have them: the folder of hvd's program, its settings, its user."""

SCRAPED = "127.0.0.1:9180"
"""The target for Prometheus where hvd has only unix sockets, which Prometheus can't scrape."""

NOT_SEEN = ("/home", "/root", "/run/user")
"""Folders that ProtectHome= hides from the unit."""


class Target(NamedTuple):
    """What is written at once: files of deploy/, and how they write the address of a unix socket."""

    files: tuple[str, ...]
    unix: str = UNIX


TARGETS = {
    "systemd": Target(("hvd.service", "hvd.socket", EXAMPLE, "README.md"), ""),  # ListenStream= takes the path alone
    "nginx": Target(("nginx.conf",)),
    "caddy": Target(("Caddyfile",), "unix/"),
    "haproxy": Target(("haproxy.cfg",), "unix@"),
    "docker": Target(("Dockerfile", "compose.yaml", "nginx.conf", "prometheus.yml", "alerts.yml")),
    "prometheus": Target(("prometheus.yml", "alerts.yml")),
}

_EPILOG = """\
examples:
  hvd deploy systemd --to /etc/hvd       write hvd.service and what goes with it, for this installation of hvd
  hvd deploy nginx                       print the site
  HVD_CONFIG=/etc/hvd/hvd.toml hvd deploy prometheus --to /etc/prometheus

Addresses, files and programs are those in force here: hvd check shows them. Secrets are never written.
exit codes: 0 all is written, or was there as it should be, 1 a file can't be written, 2 a file differs (see --force)"""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Those of this command."""
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = _EPILOG
    there = [name for name, target in TARGETS.items() if any((source() / file).exists() for file in target.files)]
    command.add_argument("target", choices=there, metavar="WHAT", help=", ".join(there))
    command.add_argument("--to", type=Path, metavar="FOLDER", help="where to write the files (default: print them)")
    command.add_argument("--user", default=USER, metavar="NAME", help="who the daemon runs as (default: hvd)")
    command.add_argument("--force", action="store_true", help="overwrite files that differ")


def run(args: argparse.Namespace) -> int:
    """Print or write them. Raises SettingsError."""
    loaded = load()
    for doubt in doubts(args.target, loaded):
        print(f"hvd: {doubt}", file=sys.stderr)
    files = dict(filled(args.target, loaded, args.user))
    if args.to is None:
        print("\n".join(_labelled_texts(files)), end="")
        return Exit.OK
    return write(files, args.to, overwrite=args.force)


def source() -> Path:
    """The folder of the files: in a checkout deploy/ itself."""
    package = Path(hvd.__file__).parent
    shipped = package / "deploy_files"
    return shipped if shipped.is_dir() else package.parent / "deploy"


def filled(target: str, loaded: Loaded, user: str) -> Iterator[tuple[str, str]]:
    """Names and texts of a target's files."""
    files, unix = TARGETS[target]
    table = substitutions(target, loaded, user, unix)
    pattern = re.compile("|".join(rf"(?<![\w.-]){re.escape(text)}(?![\w-])" for text in table))
    for name in files:
        path = source() / name
        if not path.exists() or (name == EXAMPLE and loaded.file):
            continue
        text = path.read_text(encoding="utf-8")
        if name == EXAMPLE:
            yield name, with_values(text, loaded)
        elif target == "docker":  # a container has its own files, not this machine's
            yield name, text
        else:
            yield name, pattern.sub(lambda match: table[match[0]], text)


def substitutions(target: str, loaded: Loaded, user: str, unix: str) -> dict[str, str]:
    """Each default that the files may have, and what is in force instead; the longest first."""
    settings, default = loaded.settings, load({}).settings
    bind, admin = reached(settings.bind), reached(settings.admin_bind) or f"{UNIX}{admin_socket(settings)}"
    if target == "prometheus":
        return {default.bind: scraped(settings)}
    return {
        _spelled(f"{UNIX}{admin_socket(default)}", unix): _spelled(admin, unix),
        admin_socket(default): admin.removeprefix(UNIX),
        f"/run/hvd/{default.instance}": f"/run/hvd/{settings.instance}",
        _spelled(default.bind, unix): _spelled(bind, unix),
        FILE: _for_unit(os.path.abspath(loaded.file)) if loaded.file else FILE,
        PROGRAMS: _for_unit(str(programs())),
        f"User={USER}": f"User={user}",
        f"Group={USER}": f"Group={user}",
    }


def _spelled(address: str, unix: str) -> str:
    return address.replace(UNIX, unix, 1) if address.startswith(UNIX) else address


def _for_unit(path: str) -> str:
    """As systemd takes it (systemd.syntax(7), systemd.unit(5)): blanks would end a word, % begins a specifier."""
    return path.replace("%", "%%").replace(" ", r"\x20")


def reached(address: str) -> str:
    """Where an address is reached from its own machine: 0.0.0.0 is none that one connects to."""
    host, separator, port = address.rpartition(":")
    local = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # nosec B104
    return address if address.startswith(UNIX) or not separator else f"{local}:{port}"


def scraped(settings: Settings) -> str:
    """Where Prometheus asks: the admin server where it has a port, since that answers while all workers are stuck."""
    ports = (address for address in (settings.admin_bind, settings.bind) if address and not address.startswith(UNIX))
    return reached(next(ports, SCRAPED))


def admin_socket(settings: Settings) -> str:
    """The default of admin_bind under systemd."""
    return f"/run/hvd/{settings.instance}/{ADMIN_SOCKET}"


def programs() -> Path:
    """The folder of this installation's programs."""
    return Path(sys.executable).absolute().parent


def with_values(text: str, loaded: Loaded) -> str:
    """The example file with the settings in force that are no defaults, and no secrets."""
    values = dict(_values(loaded))
    lines: list[str] = []
    table, head = "", -1
    for line in text.splitlines():
        if match := re.fullmatch(r"#\[(\w+)\]", line):
            table, head = f"{match[1]}.", len(lines)
        if (match := re.match(r"#(\w+) = ", line)) and f"{table}{match[1]}" in values:
            line = f"{match[1]} = {values.pop(f'{table}{match[1]}')}"
            if table:
                lines[head] = lines[head].lstrip("#")
        lines.append(line)
    return "\n".join(lines) + "\n"


def _values(loaded: Loaded) -> Iterator[tuple[str, str]]:
    for key in SETTINGS:
        value = getattr(loaded.settings, key)
        if loaded.sources[key] in ("default", "STATE_DIRECTORY") or _is_secret(key, value):
            continue
        yield written(key), _literal(value)


def _is_secret(key: str, value: Any) -> bool:
    return SETTINGS[key].is_secret or "***" in as_toml(value)  # a database's address may have a password


def _literal(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_literal, value))}]"
    return json.dumps(str(value)) if isinstance(value, str | Path) else as_toml(value)


def doubts(target: str, loaded: Loaded) -> Iterator[str]:
    """What an operator has to know, or to do by hand, a sentence each."""
    settings = loaded.settings
    if target == "prometheus" and scraped(settings) == SCRAPED and settings.admin_bind != SCRAPED:
        yield f"Prometheus can't scrape a unix socket: set admin_bind to {SCRAPED}, which is what the file says"
    if target != "systemd":
        return
    if str(programs()).startswith(NOT_SEEN):
        yield f"{programs()} is hidden from the unit by ProtectHome=yes: install hvd elsewhere, as in /opt/hvd"
    for key, origin in loaded.sources.items():
        if origin in ("default", "STATE_DIRECTORY", Path(loaded.file).name):
            continue
        if _is_secret(key, getattr(settings, key)):
            yield f"{origin} is a secret, and not written: put it into /etc/hvd/hvd.env, mode 0600"
        elif loaded.file:
            yield f"{origin} is set here, and not in {loaded.file}: write {written(key)} there for the unit"


def _labelled_texts(files: Mapping[str, str]) -> Iterator[str]:
    """The texts, each under its name where there are several."""
    for name, text in files.items():
        yield f"# ---- {name} ----\n{text}" if len(files) > 1 else text


def write(files: Mapping[str, str], folder: Path, *, overwrite: bool) -> int:
    """Write all of them, or, where one is there that differs and may not be overwritten, none."""
    different = [name for name, text in files.items() if _now(folder / name) not in (None, text)]
    if different and not overwrite:
        for name in different:
            print(f"hvd: {folder / name} is there, and differs: --force overwrites it", file=sys.stderr)
        return Exit.WRONG
    for name, text in files.items():
        path, before = folder / name, _now(folder / name)
        try:
            if before != text:
                path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(path, text, mode=0o644)
        except OSError as error:
            print(f"hvd: {path} can't be written ({error.strerror})", file=sys.stderr)
            return Exit.UNREACHABLE
        print(f"{path}: {'written' if before is None else 'unchanged' if before == text else 'overwritten'}")
    return Exit.OK


def _now(path: Path) -> str | None:
    """What is there; None for nothing."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError:
        return ""  # something that is no file of ours
