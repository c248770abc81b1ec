"""gunicorn's settings and hvd's: what hvd sets for gunicorn, and which are in force once gunicorn has read its own.

gunicorn's command line, GUNICORN_CMD_ARGS and a gunicorn.conf.py may say something else than hvd.toml and the
variables. Then they win, and the rows, slots and name of the block follow them.
"""

import os
import socket
from collections.abc import Iterator, MutableMapping
from dataclasses import replace
from typing import Any

from gunicorn.systemd import SD_LISTEN_FDS_START, listen_fds
from gunicorn.workers.workertmp import WorkerTmp

from hvd.core.block import DIRECTORY
from hvd.daemon.admin.address import free_page_address
from hvd.daemon.classes import counting_class
from hvd.errors import SettingsError
from hvd.metrics.prometheus import front
from hvd.settings.exposure import exposures
from hvd.settings.loader import Loaded, load
from hvd.settings.table import Settings
from hvd.settings.tokens_file import read_tokens
from hvd.settings.variables import environment

SAME = (
    *("bind", "workers", "threads", "worker_class", "timeout", "graceful_timeout", "keepalive"),
    *("max_requests", "max_requests_jitter"),
)
"""Settings that gunicorn has under the same name."""

OWN_APP = "hvd.web.wsgi:app"

FIXED = (
    *("bind", "admin_bind", "socket_mode", "socket_group", "instance", "slots", "max_series", "worker_class"),
    *("state_dir", "database_url", "prometheus_client", "all_registries"),
    "default_gauge_mode",
)
"""Settings that take effect at the next start."""

_namespace: MutableMapping[str, Any] = {}
_is_guest = False
"""Whether gunicorn serves another app than hvd's, under settings of its own, which hvd leaves alone."""
_admin_bind, _chooses_page, _has_chosen = "", False, False
_inherited: tuple[str, tuple[str, ...]] = "", ()
"""gunicorn's bind, where its sockets are inherited, and their addresses: at a reload the descriptors are closed."""


def fill(namespace: MutableMapping[str, Any], settings: Settings) -> None:
    """Put gunicorn's settings, by its names, where gunicorn looks for them: the globals of hvd.gunicorn_conf."""
    global _namespace
    _namespace = namespace
    namespace.update({name: getattr(settings, name) for name in SAME})
    namespace["wsgi_app"] = OWN_APP
    namespace["loglevel"] = settings.log_level
    namespace["proc_name"] = _proc_name(settings)
    # Of the files of unix sockets: gunicorn's default, 0, lets everybody connect.
    namespace["umask"] = 0o777 & ~int(settings.socket_mode, 8)
    namespace["worker_tmp_dir"] = str(DIRECTORY)  # heartbeats: in memory, and there wherever the block can be
    namespace["control_socket_disable"] = True  # gunicorn 27 would open one under the user's home folder


def be_guest(is_guest: bool = True) -> None:
    """Leave gunicorn's settings as they are, for an app that is not hvd's own."""
    global _is_guest
    _is_guest = is_guest


def has_own_settings() -> bool:
    """Whether gunicorn has settings of hvd's own, those of hvd.gunicorn_conf."""
    return bool(_namespace)


def check_app(app: Any) -> None:
    """Raises SettingsError where hvd would be its own guest; `app` is gunicorn's application."""
    if _is_guest and getattr(app, "app_uri", None) == OWN_APP:
        instead = "serve it by `hvd run` without an app, or by `gunicorn -c python:hvd.gunicorn_conf`"
        raise SettingsError([f"{OWN_APP} is hvd's own app: {instead}"])


def show_page(admin_bind: str, *, choose: bool) -> None:
    """Have the admin server at that address whatever the settings say. If it is "", at theirs; where they have none and
    this may `choose`, at one that a browser can open.
    """
    global _admin_bind, _chooses_page
    _admin_bind, _chooses_page = admin_bind, choose


def has_chosen_page() -> bool:
    """Whether the admin server's address was chosen here, as none was set."""
    return _has_chosen


def is_guest() -> bool:
    """Whether gunicorn serves another app than hvd's, under settings of its own."""
    return _is_guest


def read_again() -> None:
    """At a reload: give gunicorn what the settings say now. Raises SettingsError."""
    if not _is_guest:
        fill(_namespace, load().settings)


def in_force(cfg: Any) -> Settings:
    """hvd's settings, changed by gunicorn's configuration `cfg` where that differs. Raises SettingsError."""
    global _admin_bind, _has_chosen
    settings = _in_force(cfg)
    if _chooses_page and not (_admin_bind or settings.admin_bind):
        _admin_bind, _has_chosen = free_page_address(), True
    settings = replace(
        settings, admin_bind=_admin_bind or settings.admin_bind, tokens=read_tokens(settings.tokens_file)
    )
    problems = [] if settings.allow_public else list(exposures(settings, _addresses(cfg, settings)))
    if problems:
        raise SettingsError(problems)
    return settings


def install_front(cfg: Any) -> str:
    """Have prometheus_client's metrics count in the block, as the settings say. -> what is worth a warning."""
    try:
        settings = _in_force(cfg)
    except SettingsError:  # on_starting says which, and ends the start
        return ""
    return front.install(
        settings.prometheus_client,
        all_registries=settings.all_registries,
        default_gauge_mode=settings.default_gauge_mode,
    )


def _addresses(cfg: Any, settings: Settings) -> Iterator[tuple[str, str]]:
    """Where hvd's own endpoints are served, each address with its key."""
    yield "admin_bind", settings.admin_bind
    if not _is_guest:
        own = (_bind([address]) for address in cfg.address)
        yield from (("bind", address) for address in _inherited_addresses(cfg) or own)


def _in_force(cfg: Any) -> Settings:
    if _is_guest:
        return _load_for_guest(cfg).settings
    otherwise = {name: getattr(cfg, name) for name in ("workers", "threads") if getattr(cfg, name) != _namespace[name]}
    if cfg.bind != [_namespace["bind"]]:
        otherwise["bind"] = _bind(cfg.address)
    kind = counting_class(cfg).setting
    if kind != _namespace["worker_class"]:
        otherwise |= {"worker_class": kind, "threads": cfg.threads}
    return load(gunicorn=otherwise).settings


def owns_sockets(cfg: Any) -> bool:
    """Whether hvd's settings, and not gunicorn's, say who may connect to the sockets of gunicorn's bind."""
    return not _is_guest and bool(cfg.umask == _namespace.get("umask"))


def unused(cfg: Any) -> list[str]:
    """Settings of hvd's that are set, and that a gunicorn with settings of its own decides on. Raises SettingsError."""
    return _load_for_guest(cfg).unused if _is_guest else []


def _load_for_guest(cfg: Any) -> Loaded:
    values = {name: getattr(cfg, name) for name in SAME}
    own = {"bind": _bind_in_force(cfg), "worker_class": counting_class(cfg).setting, "log_level": cfg.loglevel}
    return load(gunicorn=values | own, is_guest=True)


def _bind_in_force(cfg: Any) -> str:
    """As `_bind`; for sockets that this process inherits, the address that the first of them has."""
    return next(iter(_inherited_addresses(cfg)), _bind(cfg.address))


def _inherited_addresses(cfg: Any) -> tuple[str, ...]:
    """Where the sockets listen that this process inherits, from systemd or by fd://; none where it inherits none."""
    global _inherited
    bind = _bind(cfg.address)
    systemds = listen_fds(unset_environment=False)
    if bind != _inherited[0] and (systemds or bind.startswith("fd://")):
        passed = environment().get("GUNICORN_FD", bind.removeprefix("fd://"))  # an upgrade's, or the first start's
        fds = [SD_LISTEN_FDS_START + number for number in range(systemds)] or [*map(int, passed.split(","))]
        try:
            _inherited = bind, tuple(map(_address_at, fds))
        except OSError as error:
            raise SettingsError([f"gunicorn's bind is {bind}, which is no socket: {error.strerror}"]) from None
    return _inherited[1] if bind == _inherited[0] else ()


def _address_at(fd: int) -> str:
    with socket.socket(fileno=os.dup(fd)) as listener:
        name = listener.getsockname()
    return _bind([name[:2] if isinstance(name, tuple) else name])


def passed_addresses(server: Any) -> list[str]:
    """Where systemd's sockets listen that gunicorn, the arbiter `server`, was given; none where it was given none."""
    names = [listener.getsockname() for listener in server.LISTENERS] if server.systemd else []
    return [_bind([name[:2] if isinstance(name, tuple) else name]) for name in names]


def name_processes(cfg: Any, settings: Settings) -> None:
    """Name gunicorn's processes after the instance in force, unless the user's settings name them."""
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
    Where hvd has chosen the folder, it is the block's, whose own error tells more.
    """
    if cfg.worker_tmp_dir == _namespace.get("worker_tmp_dir"):
        return
    try:
        WorkerTmp(cfg).close()
    except (OSError, RuntimeError) as error:
        where = f"worker_tmp_dir is {cfg.worker_tmp_dir!r}, where workers can't have files"
        raise SettingsError([f"{where} ({error}): name another folder, or leave it unset"]) from None
