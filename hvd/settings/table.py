"""Every setting, and the only reader of the environment.

A setting is one record: the field of `Settings` with its type, default and help. The key in hvd.toml is the field's
name, the variable is `HVD_` and that name in capitals; `hvd check` and the README's table derive from the records.
What begins with jobs_ stands in the file's table [jobs]: jobs_grace as jobs.grace. The kinds of job, jobs.kinds, have
no variable.

The file named by HVD_CONFIG is read first, variables override it. A variable that is empty or blank counts as unset
(so does systemd's `HVD_X=`), and blanks around a value are dropped. Numbers are written as TOML writes them: `08`,
`1_000` or `+4` in a variable is refused rather than guessed at. All problems are found before any is reported.
"""

import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from hvd.errors import SettingsError
from hvd.settings.defaults import SLOTS_MAX, cores, database_in, instance_of, job_cores, slots_of, threads_of
from hvd.settings.file import key_lines, read_text
from hvd.settings.job_kinds import Kind, read_kinds
from hvd.settings.value_types import (
    BIND,
    CLASSES,
    LEVELS,
    NAME,
    ORIGINS,
    PATH,
    TOKEN,
    URL,
    ValueType,
    seconds,
    whole,
)
from hvd.texts import as_toml, cut, dotted, nearest, quoted

_PREFIX = "HVD_"
_CONFIG = "HVD_CONFIG"
_OWN = (
    _CONFIG,
    "HVD_BUILD_EXTENSION",  # of setup.py: an image may keep it
    *("HVD_JOB", "HVD_ATTEMPT", "HVD_RUNNER"),  # for the programs that hvd runs as jobs
)
_TABLE, _KINDS = "jobs", "kinds"
_PROBLEMS_MAX = 50  # that are told one by one: the name of a wrong file must not cost minutes, or fill the log
_SERVICE = re.compile(
    r"(HVD(_[A-Z0-9_]+)?)_(PORT(_\d+_(TCP|UDP|SCTP)(_(START|END))?)?=(tcp|udp|sctp)://.*"
    r"|PORT_\d+_(TCP|UDP|SCTP)(_PORT(_START|_END)?=\d+|_PROTO=(tcp|udp|sctp)|_ADDR=.+)"
    r"|SERVICE_HOST=.+|SERVICE_PORT(_[A-Z0-9_]+)?=\d+)"
)
"""What Kubernetes (services, "environment variables") and Docker (legacy container links) tell every process of a
service named hvd, or hvd-something: no settings, and no mistakes."""

_LINK = re.compile(r"(HVD(_[A-Z0-9_]+?)??)_(NAME=/.*|ENV_.*)", re.DOTALL)
"""What Docker tells besides of a container that is linked: of one whose HVD_PORT is there too."""

_INHERITED = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR"}
_NOTHING: Mapping[str, Any] = {}
SLOTS_SPARE = 4  # for new workers that start before the old ones have ended


@dataclass(frozen=True)
class Setting:
    """One setting; `default` is a value, or makes one of the settings listed before it."""

    type: ValueType
    default: Any
    help: str
    words: str = ""
    is_secret: bool = False

    @property
    def default_text(self) -> str:
        """The default as documentation shows it: `words` where it depends on the machine or on other settings."""
        return self.words or ("" if self.default == () else str(self.default))

    def shown(self, value: Any) -> str:
        """The value as a person may see it."""
        if self.is_secret:
            return "***" if value else "none"
        return as_toml(value)

    def quoted(self, value: Any) -> str:
        """The value in a complaint."""
        return cut(self.shown(value))


def _of(type: ValueType, default: Any, help: str, words: str = "", is_secret: bool = False) -> dict[str, Setting]:
    return {"setting": Setting(type, default, help, words, is_secret)}


@dataclass(frozen=True)
class Settings:
    """The settings in force. A default may depend on fields above its own."""

    bind: str = field(metadata=_of(BIND, "127.0.0.1:8080", "Address to serve.", "0.0.0.0:PORT, else 127.0.0.1:8080"))
    workers: int = field(
        metadata=_of(whole(1, 1024), cores, "Worker processes.", "WEB_CONCURRENCY, else cores it may use, at least 2")
    )
    worker_class: str = field(metadata=_of(CLASSES, "gthread", "gunicorn's worker class."))
    threads: int = field(metadata=_of(whole(1, 256), threads_of, "Requests at once in a worker.", "4 (1 under sync)"))
    interval: float = field(metadata=_of(seconds(0.1, 60), 2.0, "Seconds between two broadcasts."))
    instance: str = field(metadata=_of(NAME, instance_of, "Names this daemon and its block.", "derived from bind"))
    max_series: int = field(metadata=_of(whole(16, 100_000), 2000, "HTTP series; the rest share one more."))
    slots: int = field(metadata=_of(whole(1, SLOTS_MAX), slots_of, "Most workers alive.", "8 a worker, at least 64"))
    state_dir: Path = field(metadata=_of(PATH, "var", "Folder for what outlives hvd.", "STATE_DIRECTORY, else ./var"))
    database_url: str = field(metadata=_of(URL, database_in, "Database of the jobs.", "hvd.sqlite3 in state_dir"))
    allowed_origins: tuple[str, ...] = field(
        metadata=_of(ORIGINS, (), "More origins that may open /ws.", "same origin")
    )
    log_level: str = field(metadata=_of(LEVELS, "info", "Least severe messages that are logged."))
    timeout: int = field(metadata=_of(whole(1, 86_400), 30, "Seconds until a worker that hangs is killed."))
    graceful_timeout: int = field(metadata=_of(whole(1, 86_400), 30, "Seconds that a stop leaves to requests."))
    keepalive: int = field(metadata=_of(whole(0, 86_400), 15, "Seconds that idle connections stay open (gthread)."))
    max_requests: int = field(metadata=_of(whole(0, 10**9), 0, "Requests until a worker is replaced; 0 is never."))
    max_requests_jitter: int = field(metadata=_of(whole(0, 10**9), 0, "Most added to max_requests at random."))
    ping_interval: float = field(metadata=_of(seconds(0.1, 3600), 20.0, "Seconds between pings to a client."))
    ping_timeout: float = field(metadata=_of(seconds(0.1, 3600), 20.0, "Seconds that a client has to answer a ping."))
    max_clients: int = field(metadata=_of(whole(1, 1_000_000), 10_000, "WebSocket clients at once; more get 503."))
    token: str = field(repr=False, metadata=_of(TOKEN, "", "Bearer token that opens changes to others.", "none", True))
    jobs_concurrency: int = field(metadata=_of(whole(1, 1024), job_cores, "Jobs at once.", "cores it may use"))
    jobs_queue_limit: int = field(metadata=_of(whole(1, 10**6), 10_000, "Jobs that may wait; more get 429."))
    jobs_grace: float = field(metadata=_of(seconds(0.1, 3600), 5.0, "Seconds that a job has to end once told to."))
    jobs_lease: float = field(metadata=_of(seconds(1, 3600), 15.0, "Seconds until a silent runner's jobs are lost."))
    jobs_keep_days: int = field(metadata=_of(whole(1, 36_500), 30, "Days that ended jobs are kept."))
    jobs_output_limit: int = field(
        metadata=_of(whole(2**14, 2**26), 10 * 2**20, "Bytes of each job's output that are kept.")
    )
    job_kinds: Mapping[str, Kind] = field(default_factory=dict, hash=False)

    @property
    def block_name(self) -> str:
        """The name of the daemon's shared-memory segment."""
        return f"hvd-{self.instance}"


SETTINGS: dict[str, Setting] = {each.name: each.metadata["setting"] for each in fields(Settings) if each.metadata}


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
        self.untold = 0  # further problems
        self.kinds: dict[str, Kind] = {}
        self.file = ""
        self.lines: dict[tuple[str | int, ...], int] = {}

    def take(self, key: str, raw: Any, source: str, place: str, from_text: bool) -> None:
        """Note a value for `key`, or what is wrong with it; a later value replaces an earlier one."""
        setting = SETTINGS[key]
        try:
            value = setting.type.read(setting.type.parse(raw) if from_text else raw)
        except ValueError as error:
            self.wrong.add(key)
            expected = str(error) or setting.type.expected
            self.blame(lambda: f"{written(key)} ({place}) is {setting.quoted(raw)}: it must be {expected}")
        else:
            self.given[key] = _Given(value, source, place)

    def blame(self, wording: Callable[[], str]) -> None:
        """Note a problem. Past the first ones only their number: a suggestion for each may cost minutes."""
        if len(self.problems) < _PROBLEMS_MAX:
            self.problems.append(wording())
        else:
            self.untold += 1

    def read_file(self, path: str) -> None:
        """Take what the TOML file says. RecursionError where it is nested too deeply."""
        try:
            text = read_text(path)
            table = tomllib.loads(text)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            named = f"{_CONFIG} is {cut(repr(path))}, which can't be read ({cut(str(reason))})"
            self.problems.append(f"{named}: name a TOML file, or unset it")
            return
        self.file, self.lines = path, key_lines(text)
        jobs = table.pop(_TABLE, {})
        for key, value in table.items():
            self._take_key((key,), key if written(key) == key else "", value)
        if not isinstance(jobs, dict):
            self.blame(lambda: f"{self._told((_TABLE,))} is no table: write [jobs] above its keys")
            return
        for key, value in jobs.items():
            if key != _KINDS:
                self._take_key((_TABLE, key), f"{_TABLE}_{key}", value)
        self.kinds, faults = read_kinds(jobs.get(_KINDS, {}))
        for fault in faults:
            self._blame_kind(*fault)

    def _blame_kind(self, path: tuple[str | int, ...], text: str) -> None:
        self.blame(lambda: f"{self._told((_TABLE, _KINDS, *path))} {text}")

    def _take_key(self, steps: tuple[str, ...], key: str, value: Any) -> None:
        if key in SETTINGS:
            self.take(key, value, Path(self.file).name, self._place(steps), from_text=False)
        else:
            self.blame(lambda: f"{self._told(steps)} is no setting{_meant(steps, value)}")

    def _told(self, steps: tuple[str | int, ...]) -> str:
        return f"{dotted(steps)} ({self._place(steps)})"

    def _place(self, steps: tuple[str | int, ...]) -> str:
        """File and line of a key: that of the nearest table around it, where the key itself isn't found."""
        while len(steps) > 1 and steps not in self.lines:
            steps = steps[:-1]
        return f"{self.file}:{self.lines.get(steps, 1)}"

    def read_variables(self, environ: Mapping[str, str]) -> None:
        known = {variable(key): key for key in SETTINGS}
        for name in sorted(environ):
            text = environ[name].strip()
            if name in known and text:
                self.take(known[name], text, name, name, from_text=True)
            elif name.startswith(_PREFIX) and name not in (*known, *_OWN) and not _is_foreign(name, environ):
                self._blame_variable(name, [*known, _CONFIG])

    def read_platforms(self, environ: Mapping[str, str]) -> None:
        """What gunicorn takes, and many platforms set, for whatever runs there: read where nothing else is given."""
        for key, name, form in (("bind", "PORT", "0.0.0.0:{}"), ("workers", "WEB_CONCURRENCY", "{}")):
            text = environ.get(name, "").strip()
            if text and key not in self.given.keys() | self.wrong:
                self.take(key, form.format(text), name, name, from_text=True)

    def _blame_variable(self, name: str, known: list[str]) -> None:
        def plain(variable: str) -> str:  # the prefix would make every variable like every other
            return variable.removeprefix(_PREFIX)

        self.blame(lambda: f"{quoted(name)} is no variable of hvd{nearest(name, known, plain)}")

    def take_gunicorns(self, told: Mapping[str, Any]) -> None:
        """Note what gunicorn's own settings say, which win."""
        place = "gunicorn's own setting"
        for key, value in told.items():
            if key == "bind":  # gunicorn has read it, and takes more forms than we do
                self.given[key] = _Given(value, "gunicorn", place)
            else:
                self.take(key, value, "gunicorn", place, from_text=False)

    def values(self) -> dict[str, Any]:
        """Every setting's value; a wrong one counts as not given, so that the rest can still be looked at."""
        values: dict[str, Any] = {}
        for key, setting in SETTINGS.items():
            default = setting.default(values) if callable(setting.default) else setting.default
            if key in self.given:
                values[key] = self.given[key].value
            else:
                values[key] = self._read_default(key, default) if default != "" else ""
        return values

    def _read_default(self, key: str, default: Any) -> Any:
        taken = SETTINGS[key].type
        try:
            return taken.read(default)
        except ValueError:  # what it derives from is right by itself, but not for this
            told = f"{written(key)} would be {quoted(default)}, which can't be: set it to {taken.expected}"
            self.problems.append(told)
            return default

    def contradictions(self, values: Mapping[str, Any]) -> Iterator[str]:
        """What is wrong with values that are right each by itself; silent about keys already complained of."""

        def told(key: str) -> str:
            return f"{key} ({self.given[key].place}) is {quoted(values[key])}"

        given = self.given.keys() - self.wrong
        if (
            "threads" in given
            and "worker_class" in given
            and values["worker_class"] == "sync"
            and values["threads"] > 1
        ):
            yield f"{told('threads')}: worker_class sync serves one request at a time; set 1, or gthread"
        if "slots" in given and "workers" not in self.wrong and values["slots"] < values["workers"] + SLOTS_SPARE:
            least = values["workers"] + SLOTS_SPARE
            yield f"{told('slots')}: {values['workers']} workers need at least {least}; leave it unset for more"
        if "bind" in given and "instance" not in given | self.wrong and re.fullmatch("(?!unix:).*:0", values["bind"]):
            yield f"{told('bind')}: port 0 is another port at each start; set instance, which names the block"
        if values["bind"].startswith("fd://") and "instance" not in given | self.wrong:
            yield f"{told('bind')}: every daemon may have such a descriptor; set instance, which names the block"
        jitter = "max_requests_jitter" in given and values["max_requests_jitter"] > 0
        if jitter and values["max_requests"] == 0 and "max_requests" not in self.wrong:
            yield f"{told('max_requests_jitter')}: it has no effect while max_requests is 0; set both, or neither"


def load(environ: Mapping[str, str] = os.environ, gunicorn: Mapping[str, Any] = _NOTHING) -> Loaded:
    """The settings of that environment; `gunicorn` has values that gunicorn was told otherwise, which win.

    Raises SettingsError with every problem found.
    """
    loader = _Loader()
    state = environ.get("STATE_DIRECTORY", "").split(":")[0]  # systemd separates several by colons
    if state:
        loader.take("state_dir", state, "STATE_DIRECTORY", "STATE_DIRECTORY", from_text=True)
    path = environ.get(_CONFIG, "").strip()
    if path:
        try:
            loader.read_file(path)
        except RecursionError:  # of tomllib, or of whoever looks at a value
            loader.problems.append(
                f"{_CONFIG} is {cut(repr(path))}, which is nested too deeply: name a file of settings"
            )
    loader.read_variables(environ)
    loader.read_platforms(environ)
    loader.take_gunicorns(gunicorn)
    values = loader.values()
    problems = [*loader.problems, *loader.contradictions(values)]
    if problems:
        raise SettingsError(problems, loader.untold)
    sources = {key: loader.given[key].source if key in loader.given else "default" for key in SETTINGS}
    return Loaded(Settings(**values, job_kinds=loader.kinds), sources, path)


def load_or_exit(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings, for a program that can't go on without: problems go to stderr, the exit status is 2."""
    try:
        return load(environ).settings
    except SettingsError as error:
        print(complaint(error), file=sys.stderr)
        raise SystemExit(2) from None


def complaint(error: SettingsError) -> str:
    """The problems under one heading line."""
    count = len(error.problems) + error.untold
    heading = f"hvd: {count} problem{'s' if count > 1 else ''} in the settings:"
    more = [f"and {error.untold} more"] if error.untold else []
    return "\n  ".join([heading, *error.problems, *more])


def written(key: str) -> str:
    """The key as the file has it."""
    return key.replace("_", ".", 1) if key.startswith(f"{_TABLE}_") else key


def variable(key: str) -> str:
    """The variable that overrides `key`."""
    return _PREFIX + key.upper()


def markdown_table() -> str:
    """The settings as the README lists them."""
    lines = ["| key | variable | default | meaning |", "|---|---|---|---|"]
    for key, setting in SETTINGS.items():
        default = setting.words or f"`{setting.default_text}`"
        lines.append(
            f"| `{written(key)}` | `{variable(key)}` | {default} | {setting.help} Takes {setting.type.expected}. |"
        )
    lines.append("| `jobs.kinds` |  | none | Kinds of job, a table each: see [deploy/hvd.toml](deploy/hvd.toml). |")
    return "\n".join(lines)


def _is_foreign(name: str, environ: Mapping[str, str]) -> bool:
    """True for a variable of a service that is named like hvd."""

    def is_of_a_service(name: str) -> bool:
        return bool(_SERVICE.fullmatch(f"{name}={environ.get(name, '').strip()}"))

    link = _LINK.fullmatch(f"{name}={environ[name].strip()}")
    return is_of_a_service(name) or bool(link and is_of_a_service(f"{link[1]}_PORT"))


def _meant(steps: tuple[str, ...], value: Any) -> str:
    """What whoever wrote an unknown key may have meant."""
    *above, key = steps
    if above and key in SETTINGS and written(key) == key:
        return f"; did you mean {key}, above the first [table]?"
    names = [*map(written, SETTINGS), f"{_TABLE}.{_KINDS}"]
    if not above:
        return nearest(key, names)
    if isinstance(value, dict):
        return nearest(dotted(steps), names[-1:], _in_jobs) or f"; did you mean {dotted((*above, _KINDS, key))}?"
    return nearest(dotted(steps), [name for name in names if "." in name], _in_jobs)


def _in_jobs(name: str) -> str:
    return name.removeprefix(f"{_TABLE}.")


def inherited(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a job gets to see of hvd's own environment: how to find programs and to talk to people, and no secret."""
    return {name: text for name, text in environ.items() if name in _INHERITED or name.startswith("LC_")}


def environment() -> Mapping[str, str]:
    """All variables, for a program that gets others than these."""
    return os.environ
