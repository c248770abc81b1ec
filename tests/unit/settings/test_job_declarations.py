"""Declarations of kinds of job, with all that can be wrong in one."""

import subprocess
import sys
import tomllib
from typing import Any

import pytest

from hvd.settings.job_declarations import read_kinds
from hvd.settings.job_kinds import NO_LIMIT, Kind
from hvd.texts import toml_key
from tests.unit.settings.support import declared


def told(table: Any) -> list[str]:
    """What is wrong with a table of kinds, as the settings tell it."""
    kinds, faults = read_kinds(table)
    assert not kinds
    return [f"{toml_key(steps)} {text}" for steps, text in faults]


def faults_of(**declaration: Any) -> list[str]:
    """What is wrong with the declaration of `k`; its command is `true` unless given."""
    return told({"k": {"command": ["true"], **declaration}})


def with_param(**param: Any) -> list[str]:
    """What is wrong with a kind whose command is `run {p}`."""
    return faults_of(command=["run", "{p}"], params={"p": param})


def test_the_smallest_kind_has_the_defaults() -> None:
    """A command is all that is needed."""
    kind = declared({"command": ["true"]})
    assert kind == Kind("k", ("true",))
    assert (kind.params, kind.progress, kind.timeout, kind.concurrency) == ({}, None, None, NO_LIMIT)
    assert (kind.retries, kind.backoff, kind.env, kind.cwd) == (0, 1.0, {}, None)
    assert kind.argv({}) == ["true"]


def test_all_that_can_be_declared_is_kept() -> None:
    """From TOML, where whole numbers of seconds are right as well."""
    text = r"""
        command = ["/usr/bin/run", "-n", "{n}"]
        params.n = { type = "int", min = 0, max = 3, help = "How often." }
        progress = '(?P<percent>\d+)%(.*)'
        timeout = 60
        concurrency = 2
        retries = 3
        backoff = 0.5
        env = { LC_ALL = "C", _x1 = "" }
        cwd = "/"
    """
    kind = declared(tomllib.loads(text))
    assert (kind.progress, kind.timeout, kind.concurrency) == (r"(?P<percent>\d+)%(.*)", 60.0, 2)
    assert (kind.retries, kind.backoff, kind.env, kind.cwd) == (3, 0.5, {"LC_ALL": "C", "_x1": ""}, "/")
    assert type(kind.timeout) is float


@pytest.mark.parametrize("table", [3, [], "x", [{"command": ["a"]}], None])
def test_kinds_are_a_table(table: Any) -> None:
    """Not a list of tables."""
    (text,) = told(table)
    assert "it must be a table of kinds of job, by name" in text


@pytest.mark.parametrize("name", ["", "A", "1", "a b", "a.b", "-a", "x" * 33, "ä", "a\n"])
def test_a_name_is_short_and_plain(name: str) -> None:
    """It becomes a label, a part of a path, a word on the command line."""
    (text,) = told({name: {"command": ["true"]}})
    assert "is no name of a kind of job: it must be a lower-case letter" in text
    (text,) = faults_of(command=["run", f"{{{name}}}"], params={name: {"type": "int", "min": 0, "max": 1}})
    assert "is no name of a parameter: it must be a lower-case letter" in text


def test_a_bad_declaration_is_told_whole() -> None:
    """Structure, parameters, and how they fit together, in several kinds."""
    text = r"""
        [a]
        comand = ["x"]
        timeout = nan
        concurrency = true
        retries = 1.0
        backoff = -1
        cwd = "srv"
        progress = "("
        env = { "A=" = "x", B = 5 }
        params = { x = {}, y = { type = "int", min = "1" }, z = { type = "choice", choices = [], defualt = 1 }, w = 3 }
        [b]
        command = ["run", "{fil}", "{", "{n}"]
        [b.params]
        file = { type = "path", roots = ["srv", "/a/../b", "/"], exists = 1 }
        n = { type = "int", min = -1, max = 1 }
        t = { type = "string", pattern = "[", max_length = 0, help = 3 }
        [c]
        command = ["run", "{used}{used}x"]
        params.left = { type = "float" }
        params.used = { type = "string", pattern = "*" }
        params.over = { type = "string", pattern = "[" }
    """
    assert told(tomllib.loads(text)) == [
        "a.command is missing: it must be a list of 1 to 1000 texts, the program first",
        "a.comand is no key here; did you mean command?",
        "a.timeout is nan: it must be a number of seconds from 0.1 to 2592000",
        "a.concurrency is true: it must be a whole number from 1 to 1024",
        "a.retries is 1.0: it must be a whole number from 0 to 100",
        "a.backoff is -1: it must be a number of seconds from 0 to 3600",
        "a.env.B must be a text of at most 4096 characters, no NUL",
        'a.cwd is "srv": it must be an absolute folder, without . and .. in it',
        'a.progress is "(": it must be a regular expression with a group named percent, or one group'
        " (missing ), unterminated subpattern at position 0)",
        "a.params.x.type is missing: it must be one of choice, int, string, path",
        "a.params.y.max is missing: it must be a whole number of 64 bits",
        'a.params.y.min is "1": it must be a whole number of 64 bits',
        "a.params.z.defualt is no key here; did you mean default?",
        "a.params.z.choices is []: it must be a list of 1 to 1000 different texts",
        "a.params.w is 3: it must be a table that declares a parameter",
        'b.params.file.roots[0] is "srv": it must be an absolute folder other than /, without . and .. in it',
        'b.params.file.roots[1] is "/a/../b": it must be an absolute folder other than /, without . and .. in it',
        'b.params.file.roots[2] is "/": it must be an absolute folder other than /, without . and .. in it',
        "b.params.file.exists is 1: it must be true, or false for a file that the job is to make",
        "b.params.t.max_length is 0: it must be a whole number from 1 to 4096",
        "b.params.t.help is 3: it must be a text of at most 500 characters",
        'b.command[1] is "{fil}": {fil} is no parameter; did you mean file? (a brace itself is written twice)',
        'b.command[2] is "{": a brace that belongs to no place has to be written twice',
        "b.params.n.min is -1: it must be at least 0; at {n} it begins an argument, and what begins with - could be"
        " taken for an option",
        'c.params.left.type is "float": it must be one of choice, int, string, path',
        'c.params.used.pattern is "*": it must be a regular expression (nothing to repeat at position 0)',
        'c.params.over.pattern is "[": it must be a regular expression (unterminated character set at position 0)',
        "c.params.left is not used: the command needs a place {left}, or the parameter has to go",
        "c.params.over is not used: the command needs a place {over}, or the parameter has to go",
    ]


@pytest.mark.parametrize(
    "command", ["true", [], [1], ["true", ["x"]], ["a\0"], ["x"] * 1001, ["x", "y" * 4097], {"a": 1}, None]
)
def test_a_command_is_a_list_of_texts(command: Any) -> None:
    """No line for a shell."""
    (text,) = faults_of(command=command)
    assert text.startswith("k.command")
    assert "it must be a list of 1 to 1000 texts" in text or "it must be a text of at most 4096" in text


@pytest.mark.parametrize("program", ["", " ", "./x", "bin/x", "../x", "-x", "a\tb", "{p}", "/bin/{p}", "{{x"])
def test_the_program_is_a_name_or_an_absolute_path_without_places(program: str) -> None:
    """Neither a job nor the working folder decides what is executed."""
    (text,) = faults_of(command=[program, "{p}"], params={"p": {"type": "int", "min": 0, "max": 1}})
    assert "it must be the name of a program without folder, or its absolute path; it has no places" in text


@pytest.mark.parametrize("place", ["", " p", "p ", "P", "p!r", "p:x", "p.x", "p[0]", "0"])
def test_a_place_is_the_plain_name_of_a_parameter(place: str) -> None:
    """None of the tricks of str.format."""
    texts = faults_of(command=["run", "{p}", f"{{{place}}}"], params={"p": {"type": "int", "min": 0, "max": 1}})
    assert [text.split(": ")[0] for text in texts] == [f'k.command[2] is "{{{place}}}"']


@pytest.mark.parametrize("argument", ["{p}", "{p}x", "{s}{p}"])
def test_what_could_only_be_an_option_cannot_be_declared(argument: str) -> None:
    """Negative numbers and choices with a minus where they begin an argument; elsewhere they are right."""
    text = {"type": "string", "pattern": ".*"}

    def faults(param: dict[str, Any], at: str) -> list[str]:
        command = ["run", at, "x{s}"]
        return [
            f"{toml_key(steps)} {told}"
            for steps, told in read_kinds({"k": {"command": command, "params": {"p": param, "s": text}}})[1]
        ]

    number, choice = {"type": "int", "min": -1, "max": 1}, {"type": "choice", "choices": ["a", "-b"]}
    default = {"type": "string", "pattern": ".*", "default": "-x"}
    assert [each[:26] for each in faults(number, argument)] == ["k.params.p.min is -1: it m"]
    assert [each[:30] for each in faults(choice, argument)] == ['k.params.p.choices[1] is "-b":']
    assert [each[:27] for each in faults(default, argument)] == ['k.params.p.default is "-x":']
    for param in (number, choice, default):
        assert faults(param, f"-x{argument}") == []
    assert faults(number, "{s}={p}") == []


def test_a_number_behind_what_is_never_empty_may_be_negative() -> None:
    """It begins nothing."""
    params = {"s": {"type": "string", "pattern": "[a-z]+"}, "n": {"type": "int", "min": -1, "max": 1}}
    assert declared({"command": ["run", "{s}{n}"], "params": params}).argv({"s": "a", "n": -1}) == ["run", "a-1"]


@pytest.mark.parametrize(
    ("progress", "right"),
    [
        *((r"\((\d+)/100%\)", True), (r"(?P<percent>\d+)(%)", True), (r"\d+%", False), (r"(\d)(\d)", False)),
        *((r"(?P<done>\d+)%", True), (r"(?P<a>\d)(?P<b>\d)", False)),
    ],
)
def test_progress_has_a_group_for_the_percents(progress: str, right: bool) -> None:
    """Named so, or the only one."""
    _, faults = read_kinds({"k": {"command": ["true"], "progress": progress}})
    assert (not faults) == right
    assert right or "none of them named percent" in faults[0][1]


@pytest.mark.parametrize(
    ("key", "low", "high", "wrong"),
    [
        ("timeout", 0.1, 2_592_000, [0, 0.09, 2_592_001, float("inf"), float("nan"), True, "1", None, 10**400]),
        ("concurrency", 1, 1024, [0, 1025, 1.0, True]),
        ("retries", 0, 100, [-1, 101, 1.0, False]),
        ("backoff", 0, 3600, [-0.1, 3601, float("nan"), True]),
    ],
)
def test_numbers_have_bounds(key: str, low: float, high: float, wrong: list[Any]) -> None:
    """Both belong to the range; TOML's nan, inf, true and 1.0 are nothing that Python could mistake."""
    for right in (low, high):
        assert getattr(declared({"command": ["true"], key: right}), key) == right
    for value in wrong:
        (text,) = faults_of(**{key: value})
        assert text.startswith(f"k.{key} is ")


@pytest.mark.parametrize("name", ["", "A B", "1", "A=B", "ä", "a\0"])
def test_the_environment_has_names_that_are_names(name: str) -> None:
    """execve has no way to say otherwise."""
    assert [text.endswith("is no name of a variable") for text in faults_of(env={name: "x"})] == [True]


@pytest.mark.parametrize("env", ["geheim", {"A": "geheim\0"}, {"A": ["geheim"]}, ["geheim"], {"A": {"B": "geheim"}}])
def test_a_secret_of_the_environment_is_not_told(env: Any) -> None:
    """Not even where it is wrong."""
    (text,) = faults_of(env=env)
    assert "geheim" not in text
    assert "geheim" not in " ".join(told([{"env": env}]))


def test_the_schema_library_is_loaded_for_declarations_only() -> None:
    """Neither a daemon without kinds nor a runner, which gets them ready, needs its 50 ms."""
    code = "import sys, hvd.settings.loader; hvd.settings.loader.load({}); sys.exit('jsonschema' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
