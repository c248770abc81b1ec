"""Kinds of job: a declaration with all that can be wrong in it, and the way of a job's parameters into its command."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hvd.settings.job_kinds import NO_LIMIT, Kind, read_kinds
from hvd.settings.job_params import Problem
from hvd.texts import dotted


def declared(declaration: dict[str, Any]) -> Kind:
    """The kind `k` of a declaration that is right."""
    kinds, faults = read_kinds({"k": declaration})
    assert faults == []
    return kinds["k"]


def told(table: Any) -> list[str]:
    """What is wrong with a table of kinds, as the settings tell it."""
    kinds, faults = read_kinds(table)
    assert not kinds
    return [f"{dotted(steps)} {text}" for steps, text in faults]


def faults_of(**declaration: Any) -> list[str]:
    """What is wrong with the declaration of `k`; its command is `true` unless given."""
    return told({"k": {"command": ["true"], **declaration}})


def with_param(**param: Any) -> list[str]:
    """What is wrong with a kind whose command is `run {p}`."""
    return faults_of(command=["run", "{p}"], params={"p": param})


@pytest.fixture
def convert(tmp_path: Path) -> Kind:
    """A kind with one parameter of each type, and a file for it at tmp_path/images/a.raw."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.raw").write_text("x")
    roots = [str(tmp_path / "images")]
    return declared(
        {
            "command": ["convert", "-O{format}", "{{{label}}}", "--level={level}", "{file}", "{label}{format}"],
            "params": {
                "file": {"type": "path", "roots": roots},
                "format": {"type": "choice", "choices": ["qcow2", "raw"], "default": "raw"},
                "level": {"type": "int", "min": -9, "max": 9, "default": 0},
                "label": {"type": "string", "pattern": "[a-z-]*", "default": ""},
            },
        }
    )


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


def test_a_kind_survives_the_way_through_json(convert: Kind) -> None:
    """Whole, and it can be a key."""
    full = declared({"command": ["a"], "timeout": 3, "env": {"A": "b"}, "progress": "(x)", "cwd": "/srv"})
    for kind in (convert, full, Kind("k", ("true",))):
        fields = kind.to_dict()
        assert json.loads(json.dumps(fields)) == fields
        assert Kind.from_dict(json.loads(json.dumps(fields))) == kind
        assert hash(kind) == hash(Kind.from_dict(fields))


def test_the_environment_is_not_part_of_what_is_printed() -> None:
    """It may hold passwords."""
    assert "geheim" not in repr(declared({"command": ["a"], "env": {"A": "geheim"}}))


def test_values_come_to_their_places(convert: Kind, tmp_path: Path) -> None:
    """Each argument stays one, whatever is in it; double braces are braces; the path is the resolved one."""
    (tmp_path / "images" / "a b;$(x) *").write_text("")
    params = convert.normal({"file": f"{tmp_path}/images/../images/a b;$(x) *", "level": -3, "label": "x"})
    assert params == {"file": f"{tmp_path}/images/a b;$(x) *", "format": "raw", "level": -3, "label": "x"}
    assert convert.argv(params) == [
        *("convert", "-Oraw", "{x}", "--level=-3"),
        *(f"{tmp_path}/images/a b;$(x) *", "xraw"),
    ]


def test_all_that_is_wrong_with_parameters_is_told(convert: Kind, tmp_path: Path) -> None:
    """Unknown ones, missing ones, wrong ones; the pointers are those of RFC 6901."""
    problems = convert.check({"fil": 1, "a/b~": 2, "level": True, "label": "X", "format": None})
    assert problems == [
        Problem("/fil", "is no parameter of k; did you mean file?"),
        Problem("/a~1b~0", "is no parameter of k"),
        Problem("/file", "is missing"),
        Problem("/format", "must be one of qcow2, raw"),
        Problem("/level", "must be a whole number from -9 to 9"),
        Problem("/label", "must match [a-z-]*"),
    ]
    assert convert.check({"file": f"{tmp_path}/images/a.raw"}) == []


@pytest.mark.parametrize("params", [None, [], "file", 3, True, [["file", "/x"]]])
def test_parameters_are_an_object(convert: Kind, params: Any) -> None:
    """Any other shape is one problem."""
    assert convert.check(params) == [Problem("", "must be an object")]
    with pytest.raises(ValueError, match="params must be an object"):
        convert.normal(params)


def test_many_unknown_parameters_make_a_short_answer(convert: Kind) -> None:
    """However many and long."""
    problems = convert.check({f"{'x' * 10_000}{number}": [[]] for number in range(1000)})
    assert len(problems) == 22
    assert problems[20] == Problem("", "has 980 more that are no parameters of k")
    assert all(len(problem.pointer) < 100 and len(problem.detail) < 200 for problem in problems)


@pytest.mark.parametrize("value", ["-", "--output=/etc/passwd", "-e"])
def test_no_value_turns_into_an_option(value: str) -> None:
    """Where its place begins an argument, alone or not; behind other text it is only text."""
    text = {"type": "string", "pattern": "(?s).*"}
    option = Problem("/p", "must not begin with -, or it could be taken for an option")
    for argument in ("{p}", "{p}.raw", "{p}{p}", "{empty}{p}"):
        kind = declared({"command": ["run", argument, "{empty}"], "params": {"p": text, "empty": text}})
        assert kind.check({"p": value, "empty": ""}) == [option]
        with pytest.raises(ValueError, match="/p must not begin with -"):
            kind.argv({"p": value, "empty": ""})
    for argument in ("a={p}", "--x{p}", "{{{p}", "{empty}:{p}"):
        kind = declared({"command": ["run", argument, "{empty}"], "params": {"p": text, "empty": text}})
        assert kind.check({"p": value, "empty": ""}) == []
        assert kind.argv({"p": value, "empty": ""})[1].endswith(value)
    kind = declared({"command": ["run", "{empty}{p}"], "params": {"p": text, "empty": text}})
    assert kind.check({"p": value, "empty": "x"}) == []
    assert kind.check({"p": "x", "empty": value}) == [Problem("/empty", option.detail)]


def test_what_has_become_wrong_since_the_submit_does_not_start(convert: Kind, tmp_path: Path) -> None:
    """The path has left its roots, or the declaration has changed."""
    params = convert.normal({"file": f"{tmp_path}/images/a.raw"})
    assert convert.argv(params)[4] == f"{tmp_path}/images/a.raw"
    for wrong in ({"level": 99}, {"format": "vmdk"}, {"other": 1}, {"label": "X\n"}):
        with pytest.raises(ValueError, match=f"^/{next(iter(wrong))} "):
            convert.argv({**params, **wrong})
    (tmp_path / "images" / "a.raw").unlink()
    (tmp_path / "images" / "a.raw").symlink_to("/etc/passwd")
    with pytest.raises(ValueError, match="/file must lie in a folder"):
        convert.argv(params)


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


@pytest.mark.parametrize("argument", ["{", "}", "{}}", "{{}", "{p", "p}", "{a}{"])
def test_stray_braces_are_refused(argument: str) -> None:
    """They would be a place that somebody has forgotten to close."""
    texts = faults_of(command=["run", argument])
    assert any("has to be written twice" in text or "is written twice" in text for text in texts)


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
            f"{dotted(steps)} {told}"
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


def test_doubts_are_about_this_machine(tmp_path: Path) -> None:
    """A program, roots and a working folder that aren't there, which may be different for the daemon."""
    param = {"type": "path", "roots": [str(tmp_path), f"{tmp_path}/missing"]}
    kind = declared({"command": ["no-such-program", "{p}"], "params": {"p": param}, "cwd": f"{tmp_path}/none"})
    assert list(kind.doubts()) == [
        'jobs.kinds.k.command: no program "no-such-program" is found by this user',
        f'jobs.kinds.k.cwd: no folder "{tmp_path}/none" is found by this user',
        f'jobs.kinds.k.params.p.roots: no folder "{tmp_path}/missing" is found by this user',
    ]
    assert list(declared({"command": ["true"]}).doubts()) == []
    assert list(declared({"command": ["true"], "env": {"PATH": str(tmp_path)}}).doubts()) != []


def test_the_schema_library_is_loaded_for_declarations_only() -> None:
    """Neither a daemon without kinds nor a runner, which gets them ready, needs its 50 ms."""
    code = "import sys, hvd.settings.loader; hvd.settings.loader.load({}); sys.exit('jsonschema' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
