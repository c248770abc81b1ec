"""Reading the settings.

The file named by HVD_CONFIG is read first, variables override it. A variable that is empty or blank counts as unset
(so does systemd's `HVD_X=`), and blanks around a value are dropped. Numbers are written as TOML writes them: `08`,
`1_000` or `+4` in a variable is refused rather than guessed at. All problems are found before any is reported.
"""

import errno
import os
import re
import stat
import sys
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hvd.errors import SettingsError
from hvd.settings.complaints import complaint, contradictions, lacking, likely_key, likely_variable
from hvd.settings.job_declarations import read_kinds
from hvd.settings.job_kinds import Kind
from hvd.settings.journal import complaint_line
from hvd.settings.otlp import standard_attributes, standard_values
from hvd.settings.routes import read_routes
from hvd.settings.table import JOBS_TABLE, KINDS, ROUTES, SETTINGS, TABLES, Settings, written
from hvd.settings.variables import CONFIG, KEYS, environment, is_mistake
from hvd.texts import cut, quoted, toml_key

FILE_MAX = 2 * 1024 * 1024
"""Bytes that the file may have: thousands of kinds of job fit, and a wrong file is refused within a second."""

_STEP = re.compile(r"""([A-Za-z0-9_-]+)|"([^"]*)"|'([^']*)'""")
_KEY = re.compile(
    rf"[ \t]*(?P<table>\[\[?)?[ \t]*(?P<key>({_STEP.pattern})([ \t]*\.[ \t]*({_STEP.pattern}))*)[ \t]*[\]=]"
)

_COMPLAINTS_MAX = 50  # the name of a wrong file must not cost minutes, or fill the log
_NOTHING: Mapping[str, Any] = {}
_PLATFORMS = (("bind", "PORT", "0.0.0.0:{}"), ("workers", "WEB_CONCURRENCY", "{}"))
"""Setting, variable that gunicorn takes and many platforms set for whatever runs there, and the value it makes."""


class Loaded(NamedTuple):
    """Settings, for each key where its value comes from ("default", a file's or variable's name), and the file.

    `unused` are the keys that are set without effect, and where, as `workers (HVD_WORKERS)`.
    """

    settings: Settings
    sources: dict[str, str]
    file: str
    unused: list[str]


class _Value(NamedTuple):
    value: Any
    source: str  # as `Loaded.sources` has it
    place: str  # the same with file and line, for messages


class _Loader:
    """One run of `load`: the values that are set, the keys whose value is refused, and the complaints."""

    def __init__(self, decided: Collection[str]) -> None:
        self.decided, self.unused = decided, list[str]()  # keys that gunicorn decides on, and those set all the same
        self.set: dict[str, _Value] = {}
        self.refused: set[str] = set()
        self.complaints: list[str] = []
        self.unlisted = 0  # complaints past the end of the list
        self.kinds: dict[str, Kind] = {}
        self.routes: dict[str, str] = {}
        self.foreign = list[str]()  # what is wrong with variables that are not hvd's own
        self.file = ""
        self.lines: dict[tuple[str | int, ...], int] = {}

    def complain(self, wording: Callable[[], str]) -> None:
        """Note a complaint; its words, with a suggestion, are only made where the list has room for them."""
        if len(self.complaints) < _COMPLAINTS_MAX:
            self.complaints.append(wording())
        else:
            self.unlisted += 1

    def take(self, key: str, raw: Any, source: str, place: str, from_text: bool) -> None:
        """Note a value for `key`, or what is wrong with it; a later value replaces an earlier one."""
        if key in self.decided:
            self.unused.append(f"{written(key)} ({place})")
            return
        setting = SETTINGS[key]
        try:
            value = setting.type.read(setting.type.parse(raw) if from_text else raw)
        except ValueError as error:
            self.refused.add(key)
            expected = str(error) or setting.type.expected
            self.complain(lambda: f"{written(key)} ({place}) is {setting.quoted(raw)}: it must be {expected}")
        else:
            self.set[key] = _Value(value, source, place)

    def take_file(self, path: str) -> None:
        """Take what the TOML file says. RecursionError where it is nested too deeply."""
        try:
            text = read_text(path)
            table = tomllib.loads(text)
        except (OSError, ValueError) as error:
            reason = cut(str(error.strerror if isinstance(error, OSError) else error))
            self.blame_file(path, f"can't be read ({reason}): name a TOML file, or unset it")
            return
        self.file, self.lines = path, key_lines(text)
        tables = {name: table.pop(name, {}) for name in (*TABLES, ROUTES)}
        for key, value in table.items():
            self._take_key((key,), key if written(key) == key else "", value)
        for name, keys in tables.items():
            self._take_table(name, keys)

    def _take_table(self, name: str, keys: Any) -> None:
        if not isinstance(keys, dict):
            self.complain(lambda: f"{self._located((name,))} is no table: write [{name}] above its keys")
            return
        if name == ROUTES:
            self.routes, wrong = read_routes(keys)
            for template, text in wrong:
                self._blame((ROUTES, template), text)
            return
        for key, value in keys.items():
            if (name, key) != (JOBS_TABLE, KINDS):
                self._take_key((name, key), f"{name}_{key}", value)
        if name == JOBS_TABLE:
            self.kinds, faults = read_kinds(keys.get(KINDS, {}))
            for steps, text in faults:
                self._blame((JOBS_TABLE, KINDS, *steps), text)

    def blame_file(self, path: str, text: str) -> None:
        """Note what is wrong with the file as a whole."""
        self.complain(lambda: f"{CONFIG} is {cut(repr(path))}, which {text}")

    def _blame(self, steps: tuple[str | int, ...], text: str) -> None:
        self.complain(lambda: f"{self._located(steps)} {text}")

    def _take_key(self, steps: tuple[str, ...], key: str, value: Any) -> None:
        if key in SETTINGS:
            self.take(key, value, Path(self.file).name, self._place(steps), from_text=False)
        else:
            self.complain(lambda: f"{self._located(steps)} is no setting{likely_key(steps, value)}")

    def _located(self, steps: tuple[str | int, ...]) -> str:
        return f"{toml_key(steps)} ({self._place(steps)})"

    def _place(self, steps: tuple[str | int, ...]) -> str:
        """File and line of a key; the line of the nearest table around it, where the key's own isn't known."""
        while len(steps) > 1 and steps not in self.lines:
            steps = steps[:-1]
        return f"{self.file}:{self.lines.get(steps, 1)}"

    def take_variables(self, environ: Mapping[str, str]) -> None:
        """Take what hvd's own variables say, and then, where nothing else does, those of a platform."""
        for name in sorted(environ):
            text = environ[name].strip()
            if name in KEYS and text:
                self.take(KEYS[name], text, name, name, from_text=True)
            elif is_mistake(name, environ):
                self._blame_variable(name)
        for key, name, form in _PLATFORMS:
            text = environ.get(name, "").strip()
            if text and key not in self.set and key not in (*self.refused, *self.decided):
                self.take(key, form.format(text), name, name, from_text=True)

        self._take_opentelemetrys(environ)

    def _take_opentelemetrys(self, environ: Mapping[str, str]) -> None:
        """What OpenTelemetry's own variables say, where nothing else does; attributes add up.

        They may be meant for other programs, so what is wrong with them is no complaint: it ends no start.
        """
        values: dict[str, _Value] = {}
        for key, value, name in standard_values(environ, has_endpoint="otlp_endpoint" in self.set):
            setting = SETTINGS[key]
            try:
                values[key] = _Value(setting.type.read(value), name, name)
            except ValueError as error:
                expected = str(error) or setting.type.expected
                self.foreign.append(f"{name} is {setting.quoted(value)}, and for hvd it must be {expected}")
        if "otlp_endpoint" in self.set or not self.foreign:
            self.set = {**values, **self.set}
        more, key = standard_attributes(environ), "otlp_attributes"
        if more and "otlp_endpoint" in self.set:
            own = self.set.get(key, _Value((), "OTEL_RESOURCE_ATTRIBUTES", "OTEL_RESOURCE_ATTRIBUTES"))
            self.set[key] = own._replace(value=(*more, *own.value))

    def _blame_variable(self, name: str) -> None:
        self.complain(lambda: f"{quoted(name)} is no variable of hvd{likely_variable(name)}")

    def take_gunicorns(self, gunicorn: Mapping[str, Any]) -> None:
        """Take what gunicorn's own settings say, which win."""
        place = "gunicorn's own setting"
        for key, value in gunicorn.items():
            if key == "bind" or key in self.decided:  # gunicorn has read it, and takes more than we do
                self.set[key] = _Value(value, "gunicorn", place)
            else:
                self.take(key, value, "gunicorn", place, from_text=False)

    def values(self) -> dict[str, Any]:
        """Every setting's value; of one that is refused the default, so that the rest can still be looked at."""
        values: dict[str, Any] = {}
        for key, setting in SETTINGS.items():
            default = setting.default(values) if callable(setting.default) else setting.default
            values[key] = self.set[key].value if key in self.set else self._read_default(key, default)
        return values

    def _read_default(self, key: str, default: Any) -> Any:
        if default == "":
            return default
        kind = SETTINGS[key].type
        try:
            return kind.read(default)
        except ValueError:  # what it derives from is right by itself, but not for this
            would_be = f"{written(key)} would be {quoted(default)}"
            self.complain(lambda: f"{would_be}, which is not allowed: set it to {kind.expected}")
            return default


def load(
    environ: Mapping[str, str] = environment(), gunicorn: Mapping[str, Any] = _NOTHING, *, is_guest: bool = False
) -> Loaded:
    """The settings of that environment; `gunicorn` has values that are set in gunicorn itself, which win.

    Where hvd `is_guest` of a gunicorn that has settings of its own, gunicorn alone decides on these keys, whatever
    values it takes. Raises SettingsError with every problem found.
    """
    loader = _Loader(frozenset(gunicorn) if is_guest else ())
    state = environ.get("STATE_DIRECTORY", "").split(":")[0]  # systemd separates several by colons
    if state:
        loader.take("state_dir", state, "STATE_DIRECTORY", "STATE_DIRECTORY", from_text=True)
        loader.take("keep_totals", True, "STATE_DIRECTORY", "STATE_DIRECTORY", from_text=False)
    if tokens := _credential(environ, "tokens"):
        loader.take("tokens_file", tokens, "CREDENTIALS_DIRECTORY", "CREDENTIALS_DIRECTORY", from_text=True)
    path = environ.get(CONFIG, "").strip()
    if path:
        try:
            loader.take_file(path)
        except RecursionError:  # raised by tomllib, or by the check of a value
            loader.blame_file(path, "is nested too deeply: name a file of settings")
    loader.take_variables(environ)
    loader.take_gunicorns(gunicorn)
    values, places = loader.values(), {key: value.place for key, value in loader.set.items()}
    settled = loader.refused | ({*loader.decided} - {"bind", "workers"})
    contradicting = *contradictions(values, places, settled), *lacking(values, places, loader.refused)
    problems = [*loader.complaints, *contradicting]
    if problems:
        raise SettingsError(problems, loader.unlisted)
    sources = {key: loader.set[key].source if key in loader.set else "default" for key in SETTINGS}
    trouble = "; ".join(loader.foreign)
    settings = Settings(**values, job_kinds=loader.kinds, routes=loader.routes, otlp_trouble=trouble)
    return Loaded(settings, sources, path, loader.unused)


def _credential(environ: Mapping[str, str], name: str) -> str:
    """The file of a credential that systemd passes to the service (LoadCredential=); "" where there is none."""
    folder = environ.get("CREDENTIALS_DIRECTORY", "")
    path = os.path.join(folder, name)
    return path if folder and os.path.exists(path) else ""


def load_or_exit(environ: Mapping[str, str] = environment()) -> Settings:
    """The settings, for a program that can't go on without: problems go to stderr, the exit status is 2."""
    try:
        return load(environ).settings
    except SettingsError as error:
        print(complaint_line(complaint(error)), file=sys.stderr)
        raise SystemExit(2) from None


def read_text(path: str) -> str:
    """The file's text. Raises OSError, ValueError; never waits: a FIFO that nobody writes, or a device, would."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no regular file")
        data = file.read(FILE_MAX + 1) or b""  # None where it would have to wait
    if len(data) > FILE_MAX:
        raise ValueError(f"it is larger than {FILE_MAX} bytes")
    return data.decode("utf-8-sig")  # editors on Windows put a mark of the byte order first


def key_lines(text: str) -> dict[tuple[str | int, ...], int]:
    """The line of each key of a TOML text, since tomllib doesn't tell. Keys that are written oddly are left out."""
    lines: dict[tuple[str | int, ...], int] = {}
    table: tuple[str | int, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        match = _KEY.match(line)
        if match:
            steps = tuple(step[0] or step[1] or step[2] for step in _STEP.findall(match["key"]))
            table = steps if match["table"] else table
            lines.setdefault(steps if match["table"] else (*table, *steps), number)
    return lines
