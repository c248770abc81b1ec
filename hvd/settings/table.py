"""Every setting: one record each.

A setting is a field of `Settings`, with its type, default and help. The key in hvd.toml is the field's name, the
variable is `HVD_` and that name in capitals; `hvd check` and docs/settings.md derive from the records. What begins
with the name of one of TABLES stands in that table of the file: jobs_grace as jobs.grace. The kinds of job, jobs.kinds,
and the routes have no variable.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hvd.settings.job_kinds import Kind
from hvd.settings.otlp import ATTRIBUTES, COMPRESSION, ENDPOINT, HEADERS, HTTP, PROTOCOL
from hvd.settings.processors import usable_cores
from hvd.settings.tokens import Token
from hvd.settings.value_types import (
    BIND,
    FLAG,
    GROUP,
    LOG_LEVEL,
    MODE,
    NAME,
    ORIGINS,
    PATH,
    PATTERNS,
    PINS,
    PRESETS,
    SWITCH,
    TOKEN,
    URL,
    WORKER_CLASS,
    ValueType,
    one_of,
    seconds,
    whole,
)
from hvd.texts import as_toml, cut

JOBS_TABLE = "jobs"
"""The file's table that has the kinds of job too."""

TABLES = (JOBS_TABLE, "limits", "watch", "http", "otlp")
"""The file's tables: a setting that begins with the name of one, and _, stands in it."""

KINDS = "kinds"
"""The key in it that has the kinds of job."""

ROUTES = "routes"
"""The file's table of routes, see hvd/settings/routes.py."""

READS_OPEN, READS_BY_TOKEN = "open", "token"
"""Values of the setting `reads`."""

SLOTS_SPARE = 4
"""Slots needed beside the workers': for new ones that start before the old ones have ended."""

SLOTS_MAX = 4096

THREADS_MAX = 256
"""Threads of a worker that have a row each; more, which only gunicorn takes, share one."""


def instance_of(values: Mapping[str, Any]) -> str:
    """A name for the block that two daemons share only if they would share their address too."""
    bind = str(values["bind"])
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", bind.removeprefix("unix:")).strip("-")
    if bind.startswith(("unix:", "[")) or len(plain) > 64:  # characters were lost: a hash tells such names apart
        plain = f"{plain[-55:].lstrip('-')}-{hashlib.sha256(os.fsencode(bind)).hexdigest()[:8]}"
    return plain


def cores(_: Mapping[str, Any]) -> int:
    """One for each core; two at least, so that one can serve while the other is replaced."""
    return min(1024, max(2, usable_cores()))


def job_cores(_: Mapping[str, Any]) -> int:
    """One for each core."""
    return min(1024, usable_cores())


def threads_of(values: Mapping[str, Any]) -> int:
    """Four, but where a worker serves one request at a time."""
    return 1 if values["worker_class"] == "sync" else 4


def slots_of(values: Mapping[str, Any]) -> int:
    """Eight for each worker: for reloads, upgrades, and workers that are added later."""
    count: int = values["workers"]
    return min(SLOTS_MAX, max(64, 8 * count))


def database_in(values: Mapping[str, Any]) -> str:
    """SQLite, in the folder for what outlives hvd."""
    return f"sqlite:///{values['state_dir']}/hvd.sqlite3"


def tokens_in(values: Mapping[str, Any]) -> str:
    """In the folder for what outlives hvd."""
    return f"{values['state_dir']}/tokens"


@dataclass(frozen=True)
class Setting:
    """One setting; `default` is a value, or makes one of the settings listed before it.

    `words` say the default where it depends on the machine or on other settings.
    """

    type: ValueType
    default: Any
    help: str
    words: str = ""
    is_secret: bool = False

    def as_text(self, value: Any) -> str:
        """The value as a person may see it."""
        if self.is_secret:
            return "***" if value else "none"
        return as_toml(value)

    def quoted(self, value: Any) -> str:
        """The value in a complaint."""
        return cut(self.as_text(value))


def _setting(type: ValueType, default: Any, help: str, words: str = "", is_secret: bool = False) -> Any:
    return field(repr=not is_secret, metadata={"setting": Setting(type, default, help, words, is_secret)})


@dataclass(frozen=True)
class Settings:
    """The settings in force. A default may depend on fields above its own."""

    bind: str = _setting(BIND, "127.0.0.1:8080", "Address to serve.", "0.0.0.0:PORT, else 127.0.0.1:8080")
    admin_bind: str = _setting(
        BIND, "", "Address of the admin server.", "unix:admin.sock in the instance's runtime folder"
    )
    socket_mode: str = _setting(MODE, "0660", "Mode of hvd's unix sockets, of bind and admin_bind.")
    socket_group: str = _setting(
        GROUP, "", "Group that has them, and may change things over them without a token.", "the daemon's own"
    )
    workers: int = _setting(
        whole(1, 1024), cores, "Worker processes.", "WEB_CONCURRENCY, else cores it may use, at least 2"
    )
    worker_class: str = _setting(WORKER_CLASS, "gthread", "gunicorn's worker class.")
    threads: int = _setting(whole(1, THREADS_MAX), threads_of, "Requests at once in a worker.", "4 (1 under sync)")
    interval: float = _setting(seconds(0.1, 60), 2.0, "Seconds between two broadcasts.")
    instance: str = _setting(NAME, instance_of, "Names this daemon and its block.", "derived from bind")
    max_series: int = _setting(whole(16, 100_000), 2000, "HTTP series; the rest share one more.")
    own_series: int = _setting(
        whole(256, 1_000_000),
        20_000,
        "Series of the app's own metrics; a metric may have half of them, the rest share one more.",
    )
    created_series: bool = _setting(
        FLAG, False, "Whether OpenMetrics says when each series of the app's own metrics was created."
    )
    pinned: tuple[str, ...] = _setting(
        PINS,
        (),
        "The app's own metrics of which the last fifteen minutes are kept; more are pinned on the page.",
        "none",
    )
    prometheus_client: str = _setting(
        SWITCH, "auto", "Whether prometheus_client's metrics count here; auto: unless PROMETHEUS_MULTIPROC_DIR is set."
    )
    default_gauge_mode: str = _setting(
        one_of("all", *(f"{live}{mode}" for live in ("", "live") for mode in ("sum", "max", "min"))),
        "all",
        "How its gauges that say no multiprocess_mode combine: all is a series for each process, with label pid.",
    )
    all_registries: bool = _setting(
        FLAG, False, "Whether those of all its registries are shown, and not of the default one only."
    )
    entries: int = _setting(
        whole(16, 65_536), 256, "Requests in progress that a process can name; those beyond it are only counted."
    )
    slots: int = _setting(whole(1, SLOTS_MAX), slots_of, "Most workers alive.", "8 a worker, at least 64")
    state_dir: Path = _setting(PATH, "var", "Folder for what outlives hvd.", "STATE_DIRECTORY, else ./var")  # noqa: RUF009
    keep_totals: bool = _setting(
        FLAG, False, "Whether totals and history outlive a stop, in state_dir.", "true where STATE_DIRECTORY is set"
    )
    database_url: str = _setting(URL, database_in, "Database of the jobs.", "hvd.sqlite3 in state_dir")
    allowed_origins: tuple[str, ...] = _setting(ORIGINS, (), "More origins that may open /ws.", "same origin")
    log_level: str = _setting(LOG_LEVEL, "info", "Least severe messages that are logged.")
    timeout: int = _setting(whole(1, 86_400), 30, "Seconds until a worker that hangs is killed.")
    graceful_timeout: int = _setting(whole(1, 86_400), 30, "Seconds that a stop leaves to requests.")
    keepalive: int = _setting(whole(0, 86_400), 15, "Seconds that idle connections stay open (gthread).")
    max_requests: int = _setting(whole(0, 10**9), 0, "Requests until a worker is replaced; 0 is never.")
    max_requests_jitter: int = _setting(whole(0, 10**9), 0, "Most added to max_requests at random.")
    ping_interval: float = _setting(seconds(0.1, 3600), 20.0, "Seconds between pings to a client.")
    ping_timeout: float = _setting(seconds(0.1, 3600), 20.0, "Seconds that a client has to answer a ping.")
    max_clients: int = _setting(whole(1, 1_000_000), 10_000, "WebSocket clients at once; more get 503.")
    token: str = _setting(TOKEN, "", "A bearer token that opens everything.", "none", True)
    tokens_file: Path = _setting(PATH, tokens_in, "File of more tokens.", "tokens in state_dir")  # noqa: RUF009
    reads: str = _setting(one_of(READS_OPEN, READS_BY_TOKEN), READS_OPEN, "Who may read: anybody, or token holders.")
    allow_public: bool = _setting(FLAG, False, "Whether other machines may reach a daemon without a token.")
    limits_head_seconds: float = _setting(
        seconds(0.1, 3600), 10.0, "Seconds that a client has to send a request's head."
    )
    limits_body_seconds: float = _setting(
        seconds(0.1, 3600),
        30.0,
        "Seconds that a client may send nothing of a body; on the whole 500 bytes a second more.",
    )
    limits_send_seconds: float = _setting(
        seconds(0.1, 3600),
        30.0,
        "Seconds that a client may read nothing of a response; on the whole 500 bytes a second more.",
    )
    watch_slow_request_seconds: float = _setting(
        seconds(0, 86_400), 1.0, "Seconds after which the log tells where a request is stuck; 0 is never."
    )
    http_exclude: tuple[str, ...] = _setting(PATTERNS, (), "Paths that are not counted, as static files.", "none")
    http_sizes: bool = _setting(FLAG, True, "Whether sizes of requests and responses are kept.")
    http_queue_time: bool = _setting(FLAG, True, "Whether the time since X-Request-Start is kept.")
    http_presets: tuple[str, ...] = _setting(
        PRESETS, (), "Exporters whose metrics /metrics has too, so that their dashboards go on working.", "none"
    )
    otlp_endpoint: str = _setting(
        ENDPOINT, "", "Where metrics are sent by OTLP.", "OTEL_EXPORTER_OTLP_ENDPOINT, else nowhere"
    )
    otlp_protocol: str = _setting(PROTOCOL, HTTP, "How they are sent.")
    otlp_headers: tuple[str, ...] = _setting(HEADERS, (), "Headers that are sent along.", "none", True)
    otlp_interval: float = _setting(seconds(1, 86_400), 60.0, "Seconds between two times that metrics are sent.")
    otlp_timeout: float = _setting(
        seconds(0.1, 600), 10.0, "Seconds that the receiver has to take what is sent at once."
    )
    otlp_compression: str = _setting(COMPRESSION, "none", "Whether it is compressed.")
    otlp_attributes: tuple[str, ...] = _setting(
        ATTRIBUTES, (), "Attributes of the resource, beside those of OTEL_RESOURCE_ATTRIBUTES.", "none"
    )
    jobs_concurrency: int = _setting(whole(1, 1024), job_cores, "Jobs at once.", "cores it may use")
    jobs_queue_limit: int = _setting(whole(1, 10**6), 10_000, "Jobs that may wait; more get 429.")
    jobs_grace: float = _setting(seconds(0.1, 3600), 5.0, "Seconds that a job has to end once told to.")
    jobs_lease: float = _setting(seconds(1, 3600), 15.0, "Seconds until a silent runner's jobs are lost.")
    jobs_keep_days: int = _setting(whole(1, 36_500), 30, "Days that ended jobs are kept.")
    jobs_output_limit: int = _setting(whole(2**14, 2**26), 10 * 2**20, "Bytes of each job's output that are kept.")
    job_kinds: Mapping[str, Kind] = field(default_factory=dict, hash=False)
    routes: Mapping[str, str] = field(default_factory=dict, hash=False)
    otlp_trouble: str = ""
    """Why some of OpenTelemetry's own variables have no effect; "" where all have."""
    tokens: tuple[Token, ...] | None = field(default=None, repr=False)
    """Those of tokens_file, once a daemon has read it; None where there is no file."""

    @property
    def block_name(self) -> str:
        """The name of the daemon's shared-memory segment."""
        return f"hvd-{self.instance}"


SETTINGS: dict[str, Setting] = {entry.name: entry.metadata["setting"] for entry in fields(Settings) if entry.metadata}
"""Each setting by its field's name."""


def written(key: str) -> str:
    """The key as the file has it."""
    return key.replace("_", ".", 1) if key.startswith(tuple(f"{table}_" for table in TABLES)) else key


def variable(key: str) -> str:
    """The variable that overrides `key`."""
    return f"HVD_{key.upper()}"
