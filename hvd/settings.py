"""Every setting, and the only reader of the environment.

A setting is one record: the field of `Settings` with its type, default and help. The key in hvd.toml is the field's
name, the variable is `HVD_` and that name in capitals; `hvd check` and the README's table derive from the records.

The file named by HVD_CONFIG is read first, variables override it. A variable that is empty or blank counts as unset
(so does systemd's `HVD_X=`), and blanks around a value are dropped. Numbers are written as TOML writes them: `08`,
`1_000` or `+4` in a variable is refused rather than guessed at. All problems are found before any is reported.
"""

import hashlib
import os
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from hvd.errors import SettingsError
from hvd.values import BIND, CLASSES, LEVELS, NAME, ORIGINS, PATH, URL, ValueType, nearest, seconds, shown, whole

_PREFIX = "HVD_"
_CONFIG = "HVD_CONFIG"
_SLOTS_MAX = 4096
_SLOTS_SPARE = 4  # for new workers that start before the old ones have ended


@dataclass(frozen=True)
class Setting:
    """One setting; `default` is a value, or makes one of the settings listed before it."""

    type: ValueType
    default: Any
    help: str
    words: str = ""

    @property
    def default_text(self) -> str:
        """The default as documentation shows it: `words` where it depends on the machine or on other settings."""
        return self.words or ("" if self.default == () else str(self.default))


def _instance_of(values: Mapping[str, Any]) -> str:
    """A name for the block that two daemons share only if they would share their address too."""
    bind = str(values["bind"])
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", bind.removeprefix("unix:")).strip("-")
    if bind.startswith(("unix:", "[")) or len(plain) > 64:  # characters were lost: a hash tells such names apart
        plain = f"{plain[-55:].lstrip('-')}-{hashlib.sha256(os.fsencode(bind)).hexdigest()[:8]}"
    return plain


def _cores(_: Mapping[str, Any]) -> int:
    return min(1024, max(2, len(os.sched_getaffinity(0))))


def _threads(values: Mapping[str, Any]) -> int:
    return 1 if values["worker_class"] == "sync" else 4


def _slots(values: Mapping[str, Any]) -> int:
    workers: int = values["workers"]
    return min(_SLOTS_MAX, max(64, 8 * workers))


def _database(values: Mapping[str, Any]) -> str:
    return f"sqlite:///{values['state_dir']}/hvd.sqlite3"


def _of(type: ValueType, default: Any, help: str, words: str = "") -> dict[str, Setting]:
    return {"setting": Setting(type, default, help, words)}


@dataclass(frozen=True)
class Settings:
    """The settings in force. A default may depend on fields above its own."""

    bind: str = field(metadata=_of(BIND, "127.0.0.1:8080", "Address to serve."))
    workers: int = field(metadata=_of(whole(1, 1024), _cores, "Worker processes.", "cores it may use, at least 2"))
    worker_class: str = field(metadata=_of(CLASSES, "gthread", "gunicorn's worker class."))
    threads: int = field(metadata=_of(whole(1, 256), _threads, "Requests at once in a worker.", "4 (1 under sync)"))
    interval: float = field(metadata=_of(seconds(0.1, 60), 2.0, "Seconds between two broadcasts."))
    instance: str = field(metadata=_of(NAME, _instance_of, "Names this daemon and its block.", "derived from bind"))
    max_series: int = field(metadata=_of(whole(16, 100_000), 2000, "HTTP series; the rest share one more."))
    slots: int = field(metadata=_of(whole(1, _SLOTS_MAX), _slots, "Most workers alive.", "8 a worker, at least 64"))
    state_dir: Path = field(metadata=_of(PATH, "var", "Folder for what outlives hvd.", "STATE_DIRECTORY, else ./var"))
    database_url: str = field(metadata=_of(URL, _database, "Database of the jobs.", "hvd.sqlite3 in state_dir"))
    allowed_origins: tuple[str, ...] = field(metadata=_of(ORIGINS, (), "Origins that may open /ws.", "same origin"))
    log_level: str = field(metadata=_of(LEVELS, "info", "Least severe messages that are logged."))
    timeout: int = field(metadata=_of(whole(1, 86_400), 30, "Seconds until a worker that hangs is killed."))
    graceful_timeout: int = field(metadata=_of(whole(1, 86_400), 30, "Seconds that a stop leaves to requests."))
    keepalive: int = field(metadata=_of(whole(0, 86_400), 15, "Seconds that idle connections stay open (gthread)."))
    max_requests: int = field(metadata=_of(whole(0, 10**9), 0, "Requests until a worker is replaced; 0 is never."))
    max_requests_jitter: int = field(metadata=_of(whole(0, 10**9), 0, "Most added to max_requests at random."))
    ping_interval: float = field(metadata=_of(seconds(0.1, 3600), 20.0, "Seconds between pings to a client."))
    ping_timeout: float = field(metadata=_of(seconds(0.1, 3600), 20.0, "Seconds that a client has to answer a ping."))
    max_clients: int = field(metadata=_of(whole(1, 1_000_000), 10_000, "WebSocket clients at once; more get 503."))

    @property
    def block_name(self) -> str:
        """The name of the daemon's shared-memory segment."""
        return f"hvd-{self.instance}"


SETTINGS: dict[str, Setting] = {each.name: each.metadata["setting"] for each in fields(Settings)}


class Loaded(NamedTuple):
    """Settings, for each key where its value comes from ("default", a file's or variable's name), and the file."""

    settings: Settings
    sources: dict[str, str]
    file: str


class _Given(NamedTuple):
    value: Any
    source: str  # as `sources` has it
    place: str  # the same with file and line, for messages


class _Loader:
    """One run of `load`: what was given, and what was wrong with it."""

    def __init__(self) -> None:
        self.given: dict[str, _Given] = {}
        self.wrong: set[str] = set()
        self.problems: list[str] = []

    def take(self, key: str, raw: Any, source: str, place: str, from_text: bool) -> None:
        """Note a value for `key`, or what is wrong with it; a later value replaces an earlier one."""
        taken = SETTINGS[key].type
        try:
            value = taken.read(taken.parse(raw) if from_text else raw)
        except ValueError as error:
            self.wrong.add(key)
            self.problems.append(f"{key} ({place}) is {shown(raw)}: it must be {str(error) or taken.expected}")
        else:
            self.given[key] = _Given(value, source, place)

    def read_file(self, path: str) -> None:
        try:
            text = Path(path).read_bytes().decode()
            table = tomllib.loads(text)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            self.problems.append(
                f"{_CONFIG} is {path!r}, which can't be read ({reason}): name a TOML file, or unset it"
            )
            return
        for key, value in table.items():
            place = f"{path}:{_line_of(key, text)}"
            if key in SETTINGS:
                self.take(key, value, Path(path).name, place, from_text=False)
            else:
                self.problems.append(f"{shown(key)} ({place}) is no setting{nearest(key, SETTINGS)}")

    def read_variables(self, environ: Mapping[str, str]) -> None:
        known = {variable(key): key for key in SETTINGS}
        for name in sorted(environ):
            text = environ[name].strip()
            if name in known and text:
                self.take(known[name], text, name, name, from_text=True)
            elif name.startswith(_PREFIX) and name not in known and name != _CONFIG:
                self.problems.append(f"{shown(name)} is no variable of hvd{_nearest_variable(name, known)}")

    def values(self) -> dict[str, Any]:
        """Every setting's value; a wrong one counts as not given, so that the rest can still be looked at."""
        values: dict[str, Any] = {}
        for key, setting in SETTINGS.items():
            default = setting.default(values) if callable(setting.default) else setting.default
            values[key] = self.given[key].value if key in self.given else setting.type.read(default)
        return values

    def contradictions(self, values: Mapping[str, Any]) -> Iterator[str]:
        """What is wrong with values that are right each by itself; silent about keys already complained of."""

        def told(key: str) -> str:
            return f"{key} ({self.given[key].place}) is {shown(values[key])}"

        given = self.given.keys() - self.wrong
        if (
            "threads" in given
            and "worker_class" in given
            and values["worker_class"] == "sync"
            and values["threads"] > 1
        ):
            yield f"{told('threads')}: worker_class sync serves one request at a time; set 1, or gthread"
        if "slots" in given and "workers" not in self.wrong and values["slots"] < values["workers"] + _SLOTS_SPARE:
            least = values["workers"] + _SLOTS_SPARE
            yield f"{told('slots')}: {values['workers']} workers need at least {least}; leave it unset for more"
        if "bind" in given and "instance" not in given | self.wrong and re.fullmatch("(?!unix:).*:0", values["bind"]):
            yield f"{told('bind')}: port 0 is another port at each start; set instance, which names the block"
        jitter = "max_requests_jitter" in given and values["max_requests_jitter"] > 0
        if jitter and values["max_requests"] == 0 and "max_requests" not in self.wrong:
            yield f"{told('max_requests_jitter')}: it has no effect while max_requests is 0; set both, or neither"


def load(environ: Mapping[str, str] = os.environ) -> Loaded:
    """The settings of that environment. Raises SettingsError with every problem found."""
    loader = _Loader()
    state = environ.get("STATE_DIRECTORY", "").split(":")[0]  # systemd separates several by colons
    if state:
        loader.take("state_dir", state, "STATE_DIRECTORY", "STATE_DIRECTORY", from_text=True)
    path = environ.get(_CONFIG, "").strip()
    if path:
        loader.read_file(path)
    loader.read_variables(environ)
    values = loader.values()
    problems = [*loader.problems, *loader.contradictions(values)]
    if problems:
        raise SettingsError(problems)
    sources = {key: loader.given[key].source if key in loader.given else "default" for key in SETTINGS}
    return Loaded(Settings(**values), sources, path)


def load_or_exit(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings, for a program that can't go on without: problems go to stderr, the exit status is 2."""
    try:
        return load(environ).settings
    except SettingsError as error:
        print(complaint(error), file=sys.stderr)
        raise SystemExit(2) from None


def complaint(error: SettingsError) -> str:
    """The problems under one heading line."""
    count = len(error.problems)
    heading = f"hvd: {count} problem{'s' if count > 1 else ''} in the settings:"
    return "\n  ".join([heading, *error.problems])


def variable(key: str) -> str:
    """The variable that overrides `key`."""
    return _PREFIX + key.upper()


def markdown_table() -> str:
    """The settings as the README lists them."""
    lines = ["| key | variable | default | meaning |", "|---|---|---|---|"]
    for key, setting in SETTINGS.items():
        default = setting.words or f"`{setting.default_text}`"
        lines.append(f"| `{key}` | `{variable(key)}` | {default} | {setting.help} Takes {setting.type.expected}. |")
    return "\n".join(lines)


def _line_of(key: str, text: str) -> int:
    """The line where `key` is set, found as text since tomllib doesn't tell; line 1 if it is written oddly."""
    match = re.search(rf"^[ \t]*\[*[ \t]*[\"']?{re.escape(key)}\b", text, re.MULTILINE)
    return text.count("\n", 0, match.start()) + 1 if match else 1


def _nearest_variable(name: str, known: Iterable[str]) -> str:
    """Compared without the prefix: it would make every variable like every other, the more so the shorter they are."""
    names = [each.removeprefix(_PREFIX) for each in (*known, _CONFIG)]
    return nearest(name.removeprefix(_PREFIX), names, _PREFIX)
