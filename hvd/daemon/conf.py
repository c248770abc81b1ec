"""gunicorn's settings and hvd's: what hvd sets for gunicorn, and which are in force once gunicorn has read its own.

gunicorn's command line, GUNICORN_CMD_ARGS and a gunicorn.conf.py may say something else than hvd.toml and the
variables. Then they win, and the rows, slots and name of the block follow them.
"""

import os
from collections.abc import MutableMapping
from typing import Any

from gunicorn.workers.workertmp import WorkerTmp

from hvd.core.block import DIRECTORY
from hvd.daemon.classes import counting_class
from hvd.daemon.sockets import current_umask
from hvd.errors import SettingsError
from hvd.settings.loader import load
from hvd.settings.table import Settings

SAME = (
    *("bind", "workers", "threads", "worker_class", "timeout", "graceful_timeout", "keepalive"),
    *("max_requests", "max_requests_jitter"),
)
"""Settings that gunicorn has under the same name."""

FIXED = ("bind", "admin_bind", "instance", "slots", "max_series", "worker_class", "state_dir", "database_url")
"""Settings that take effect at the next start."""

_namespace: MutableMapping[str, Any] = {}
_is_guest = False
"""Whether gunicorn serves another app than hvd's, under settings of its own, which hvd leaves alone."""


def fill(namespace: MutableMapping[str, Any], settings: Settings) -> None:
    """Put gunicorn's settings, by its names, where gunicorn looks for them: the globals of hvd.gunicorn_conf."""
    global _namespace
    _namespace = namespace
    namespace.update({name: getattr(settings, name) for name in SAME})
    namespace["wsgi_app"] = "hvd.web.wsgi:app"
    namespace["loglevel"] = settings.log_level
    namespace["proc_name"] = _proc_name(settings)
    namespace["umask"] = current_umask()  # of the files of unix sockets: gunicorn's default, 0, lets everybody connect
    namespace["worker_tmp_dir"] = str(DIRECTORY)  # heartbeats: in memory, and there wherever the block can be
    namespace["control_socket_disable"] = True  # gunicorn 27 would open one under the user's home folder


def adopt(namespace: MutableMapping[str, Any]) -> None:
    """Leave gunicorn's settings as that configuration has them."""
    global _namespace, _is_guest
    _namespace, _is_guest = namespace, True


def read_again() -> None:
    """At a reload: give gunicorn what the settings say now. Raises SettingsError."""
    if not _is_guest:
        fill(_namespace, load().settings)


def in_force(cfg: Any) -> Settings:
    """hvd's settings, with what gunicorn's configuration `cfg` was told otherwise. Raises SettingsError."""
    if _is_guest:
        values = {name: getattr(cfg, name) for name in SAME}
        return load(
            gunicorn=values | {"bind": _bind(cfg.address), "worker_class": counting_class(cfg).setting}
        ).settings
    otherwise = {name: getattr(cfg, name) for name in ("workers", "threads") if getattr(cfg, name) != _namespace[name]}
    if cfg.bind != [_namespace["bind"]]:
        otherwise["bind"] = _bind(cfg.address)
    kind = counting_class(cfg).setting
    if kind != _namespace["worker_class"]:
        otherwise |= {"worker_class": kind, "threads": cfg.threads}
    return load(gunicorn=otherwise).settings


def name_processes(cfg: Any, settings: Settings) -> None:
    """Call gunicorn's processes after the instance in force, unless somebody else has named them."""
    if not _is_guest and cfg.proc_name == _namespace["proc_name"]:
        cfg.set("proc_name", _proc_name(settings))


def _proc_name(settings: Settings) -> str:
    return f"hvd-{settings.instance}"


def _bind(addresses: list[Any]) -> str:
    """The first of gunicorn's addresses, as the setting bind has it; a descriptor as fd://N."""
    if not addresses:
        raise SettingsError(["gunicorn's bind is empty: name an address to serve"])
    first = addresses[0]
    if isinstance(first, str):
        return f"unix:{os.path.abspath(first)}"
    if isinstance(first, int):
        return f"fd://{first}"
    host, port = first
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_heartbeat(cfg: Any) -> None:
    """Try what each worker needs before its fork, a file for its heartbeat. Raises SettingsError.

    WorkerTmp is no public API: read in gunicorn 27.0.1, workers/workertmp.py; a test holds what it needs and raises.
    """
    try:
        WorkerTmp(cfg).close()
    except (OSError, RuntimeError) as error:
        where = f"worker_tmp_dir is {cfg.worker_tmp_dir!r}, where workers can't have files"
        raise SettingsError([f"{where} ({error}): name another folder, or leave it unset"]) from None
