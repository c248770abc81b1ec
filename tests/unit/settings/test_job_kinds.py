"""Kinds of job: their arguments, and the way of a job's parameters into them."""

import json
from pathlib import Path
from typing import Any

import pytest

from hvd.json_schemas import Problem
from hvd.settings.job_kinds import Kind, leading_places, pieces_of, places_in
from tests.unit.settings.support import declared


def accepted(kind: Kind, **params: Any) -> dict[str, Any]:
    """The parameters as the kind takes them."""
    values, problems = kind.check(params)
    assert not problems
    return values


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
    params = accepted(convert, file=f"{tmp_path}/images/../images/a b;$(x) *", level=-3, label="x")
    assert params == {"file": f"{tmp_path}/images/a b;$(x) *", "format": "raw", "level": -3, "label": "x"}
    assert convert.argv(params) == [
        *("convert", "-Oraw", "{x}", "--level=-3"),
        *(f"{tmp_path}/images/a b;$(x) *", "xraw"),
    ]


def test_all_that_is_wrong_with_parameters_is_told(convert: Kind, tmp_path: Path) -> None:
    """Unknown ones, missing ones, wrong ones; the pointers are those of RFC 6901."""
    _, problems = convert.check({"fil": 1, "a/b~": 2, "level": True, "label": "X", "format": None})
    assert problems == [
        Problem("/fil", "is no parameter of k; did you mean file?"),
        Problem("/a~1b~0", "is no parameter of k"),
        Problem("/file", "is missing"),
        Problem("/format", "must be one of qcow2, raw"),
        Problem("/level", "must be a whole number from -9 to 9"),
        Problem("/label", "must match [a-z-]*"),
    ]
    assert convert.check({"file": f"{tmp_path}/images/a.raw"})[1] == []


@pytest.mark.parametrize("params", [None, [], "file", 3, True, [["file", "/x"]]])
def test_parameters_are_an_object(convert: Kind, params: Any) -> None:
    """Any other shape is one problem."""
    assert convert.check(params)[1] == [Problem("", "must be an object")]
    with pytest.raises(ValueError, match="params must be an object"):
        convert.argv(params)


def test_many_unknown_parameters_make_a_short_answer(convert: Kind) -> None:
    """However many and long."""
    _, problems = convert.check({f"{'x' * 10_000}{number}": [[]] for number in range(1000)})
    assert len(problems) == 22
    assert problems[20] == Problem("", "has 980 more that are no parameters of k")
    assert all(len(problem.pointer) < 100 and len(problem.detail) < 200 for problem in problems)


@pytest.mark.parametrize(("name", "pointer"), [("", "/"), ("\ud800", "/?"), ("x" * 10**6, "/" + "x" * 64 + "...")])
def test_a_pointer_to_a_parameter_is_short(convert: Kind, name: str, pointer: str) -> None:
    """So that any encoder takes it, and nobody fills the answer with it."""
    assert convert.check({name: 1})[1][0].pointer == pointer


@pytest.mark.parametrize("value", ["-", "--output=/etc/passwd", "-e"])
def test_no_value_turns_into_an_option(value: str) -> None:
    """Where its place begins an argument, alone or not; behind other text it is only text."""
    text = {"type": "string", "pattern": "(?s).*"}
    option = Problem("/p", "must not begin with -, or it could be taken for an option")
    for argument in ("{p}", "{p}.raw", "{p}{p}", "{empty}{p}"):
        kind = declared({"command": ["run", argument, "{empty}"], "params": {"p": text, "empty": text}})
        assert kind.check({"p": value, "empty": ""})[1] == [option]
        with pytest.raises(ValueError, match="/p must not begin with -"):
            kind.argv({"p": value, "empty": ""})
    for argument in ("a={p}", "--x{p}", "{{{p}", "{empty}:{p}"):
        kind = declared({"command": ["run", argument, "{empty}"], "params": {"p": text, "empty": text}})
        assert kind.check({"p": value, "empty": ""})[1] == []
        assert kind.argv({"p": value, "empty": ""})[1].endswith(value)
    kind = declared({"command": ["run", "{empty}{p}"], "params": {"p": text, "empty": text}})
    assert kind.check({"p": value, "empty": "x"})[1] == []
    assert kind.check({"p": "x", "empty": value})[1] == [Problem("/empty", option.detail)]


def test_what_has_become_wrong_since_the_submit_does_not_start(convert: Kind, tmp_path: Path) -> None:
    """The path has left its roots, or the declaration has changed."""
    params = accepted(convert, file=f"{tmp_path}/images/a.raw")
    assert convert.argv(params)[4] == f"{tmp_path}/images/a.raw"
    for wrong in ({"level": 99}, {"format": "vmdk"}, {"other": 1}, {"label": "X\n"}):
        with pytest.raises(ValueError, match=f"^/{next(iter(wrong))} "):
            convert.argv({**params, **wrong})
    (tmp_path / "images" / "a.raw").unlink()
    (tmp_path / "images" / "a.raw").symlink_to("/etc/passwd")
    with pytest.raises(ValueError, match="/file must lie in a folder"):
        convert.argv(params)


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


def test_an_argument_is_texts_and_places() -> None:
    """Double braces are braces."""
    assert pieces_of("-O{{{format}}}x") == (("-O", False), ("{", False), ("format", True), ("}", False), ("x", False))
    assert places_in("{a}:{b}{a}") == ["a", "b", "a"]
    assert pieces_of("") == ()


@pytest.mark.parametrize("argument", ["{", "}", "{}}", "{p", "p}", "{a}{"])
def test_a_stray_brace_is_refused(argument: str) -> None:
    """It would be a place that somebody has forgotten to close."""
    with pytest.raises(ValueError, match="written twice"):
        pieces_of(argument)


def test_places_before_any_text_may_begin_an_argument() -> None:
    """One may be empty, and leave that to the next."""
    assert leading_places("{a}{b}-{c}") == ["a", "b"]
    assert leading_places("-{a}") == []
