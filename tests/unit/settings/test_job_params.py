"""Parameters of jobs: what each type takes, and above all what it refuses."""

import os
from pathlib import Path
from typing import Any

import pytest

from hvd.settings.job_params import (
    PATH_MAX,
    ChoiceParam,
    IntParam,
    Param,
    PathParam,
    StringParam,
    param_from,
    regex_problem,
)

FORMAT = ChoiceParam(choices=("qcow2", "raw"))
LEVEL = IntParam(min=-2, max=9)
LABEL = StringParam(pattern="[a-z -]*", max_length=20)
OPEN_TEXT = StringParam(pattern="(?s).*", max_length=4096)

NO_STRINGS: list[Any] = [None, True, 7, 1.5, b"raw", ["raw"], {"raw": "raw"}, [], {}]
UNCLEAN = ["a\0b", "\n", "a\nb", "\x1b[2J", "\x7f", "\x85", "\u2028", "\ud800", "a\udfff"]


def refusal(param: Param, value: Any) -> str:
    """What a parameter says to a value that it refuses, at the submit as at the start."""
    with pytest.raises(ValueError, match=r"^must ") as caught:
        param.normal(value)
    return str(caught.value)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A root with a file, and another folder beside it whose name begins like the root's."""
    for name in ("images", "images-evil"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "disk.raw").write_text("x")
    (tmp_path / "secret").write_text("x")
    return tmp_path / "images"


NO_NUMBERS: list[Any] = [-3, 10, True, False, 1.0, "1", None, [1], {}, float("nan"), float("inf"), 10**400]
SHORT = "must be a text of at most {} characters, no control characters"


@pytest.mark.parametrize(
    ("param", "value", "said"),
    [
        # a choice in that case, and no other type that compares equal
        *(
            (FORMAT, value, "must be one of qcow2, raw")
            for value in [*NO_STRINGS, "RAW", "raw ", "", "-raw", "raw\0", "x" * 10**6, *UNCLEAN]
        ),
        # True is no number, although it is an int for Python
        *((LEVEL, value, "must be a whole number from -2 to 9") for value in NO_NUMBERS),
        # a string is short and clean, whatever its pattern would let through
        *((LABEL, value, SHORT.format(20)) for value in [*NO_STRINGS, *UNCLEAN, "x" * 21, "x" * 10**6]),
        *((OPEN_TEXT, value, SHORT.format(4096)) for value in [*NO_STRINGS, *UNCLEAN, "x" * 10**6]),
        # it is matched as a whole, and a line's end doesn't hide anything
        *((LABEL, value, "must match [a-z -]*") for value in ["A", "a1", "é", "a;rm", "$(a)", "../a"]),
        (StringParam(pattern="a|b"), "ab", "must match a|b"),
    ],
)
def test_what_a_parameter_does_not_take_is_refused(param: Param, value: Any, said: str) -> None:
    """And it says what it takes."""
    assert refusal(param, value) == said


def test_what_a_parameter_takes_stays_as_it_is() -> None:
    """At the bounds too."""
    assert [LEVEL.normal(right) for right in (-2, 0, 9)] == [-2, 0, 9]
    assert (FORMAT.normal("raw"), LABEL.normal("a-b c")) == ("raw", "a-b c")


def test_of_many_choices_a_few_are_told() -> None:
    """A message stays readable."""
    many = ChoiceParam(choices=tuple(f"c{number}" for number in range(1000)))
    assert refusal(many, "x").endswith(", c19, ...")
    assert len(refusal(many, "x")) < 200


def test_a_path_becomes_the_one_without_links_and_detours(images: Path) -> None:
    """The command gets what was checked."""
    param = PathParam(roots=(str(images),))
    (images / "link").symlink_to("disk.raw")
    (images / "sub" / "up").symlink_to("..")
    for value in ("disk.raw", "link", "sub/../disk.raw", "./sub/up//disk.raw", "../images/disk.raw", "disk.raw/"):
        assert param.normal(f"{images}/{value}") == f"{images}/disk.raw"
    assert param.normal(f"//{images}/disk.raw") == f"{images}/disk.raw"


def test_a_root_may_be_a_link_itself(images: Path) -> None:
    """/srv/images that leads to another disk."""
    (images.parent / "root").symlink_to(images)
    param = PathParam(roots=(f"{images.parent}/root",))
    assert param.normal(f"{images.parent}/root/disk.raw") == param.normal(f"{images}/disk.raw") == f"{images}/disk.raw"


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize(
    "value",
    [
        *(
            "{}/../secret",
            "{}/../images-evil/disk.raw",
            "{}-evil/disk.raw",
            "{}-evil/new",
            "{}/../new",
            "{}/sub/../../x",
        ),
        *("/etc/passwd", "/etc/nothing-here", "/proc/self/environ", "/dev/null", "/", "//", "/..", "{}", "{}/", "{}/."),
        *("{}/out/passwd", "{}/out/nothing-here", "{}/dangling", "{}/file-out", "{}/missing/../../secret"),
    ],
)
def test_a_path_outside_of_the_roots_is_refused(images: Path, value: str, exists: bool) -> None:
    """Whether it exists or not makes no difference, so that nobody learns from it what lies outside."""
    (images / "out").symlink_to("/etc")
    (images / "dangling").symlink_to("/etc/nothing-here")
    (images / "file-out").symlink_to("../secret")
    param = PathParam(roots=(str(images), f"{images}/sub"), exists=exists)
    expected = "must lie in a folder that is open to this kind of job"
    assert refusal(param, value.format(images)) == expected
    with pytest.raises(ValueError, match=expected):
        param.at_start(value.format(images))


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize(
    "value", [*NO_STRINGS, "", "disk.raw", "./disk.raw", "-o/x", "~/x", " /x", *(f"/srv/{text}" for text in UNCLEAN)]
)
def test_a_path_is_absolute_and_clean(value: Any, exists: bool) -> None:
    """Relative to what would depend on the process; NUL, newlines and half characters have no place in a path."""
    param = PathParam(roots=("/srv",), exists=exists)
    assert refusal(param, value) == "must be an absolute path without control characters"


def test_a_path_has_a_bounded_length(images: Path) -> None:
    """In bytes, as the kernel counts."""
    param = PathParam(roots=(str(images),))
    for value in ("/" + "é" * (PATH_MAX // 2 + 1), "/x" * 10**6):
        assert refusal(param, value) == "must be a path of at most 4095 bytes"
    assert refusal(param, f"{images}/" + "x" * 300) == "must be a file that exists"
    assert refusal(param, f"{images}" + "/x" * 1500) == "must be a file that exists"


def test_what_a_link_leads_to_is_clean_too(images: Path) -> None:
    """A harmless name for a file whose own name would break logs, or is no text at all."""
    os.close(os.open(os.fsencode(images) + b"/\xff\n", os.O_CREAT | os.O_WRONLY))
    os.symlink(b"\xff\n", os.fsencode(images) + b"/harmless")
    assert "must lie in" in refusal(PathParam(roots=(str(images),)), f"{images}/harmless")


def test_links_in_circles_and_long_chains_are_refused(images: Path) -> None:
    """Without an error of another sort."""
    (images / "round").symlink_to("round")
    (images / "0").symlink_to("disk.raw")
    for number in range(1, 1500):
        (images / str(number)).symlink_to(str(number - 1))
    for exists in (True, False):
        param = PathParam(roots=(str(images),), exists=exists)
        for value in ("round", "round/x"):
            assert refusal(param, f"{images}/{value}").startswith("must be a file that ")
        assert "must" in refusal(PathParam(roots=(str(images),), exists=False), f"{images}/1499")


def test_only_files_and_disks_exist_for_a_path(images: Path) -> None:
    """No folder, no pipe that a program would wait at, no socket, no character device."""
    os.mkfifo(images / "pipe")
    param = PathParam(roots=(str(images), "/dev"))
    for value in (f"{images}/sub", f"{images}/pipe", f"{images}/nothing", f"{images}/disk.raw/x", "/dev/zero"):
        assert refusal(param, value) == "must be a file that exists"


def test_a_file_to_be_made_must_not_exist(images: Path) -> None:
    """Not as anything; its folder must."""
    param = PathParam(roots=(str(images),), exists=False)
    (images / "inside").symlink_to("later")
    assert param.normal(f"{images}/sub/../new") == f"{images}/new"
    assert param.normal(f"{images}/inside") == f"{images}/later", "what a program would make there"
    for value in ("disk.raw", "sub", "sub/", "missing/new", "disk.raw/new"):
        assert refusal(param, f"{images}/{value}") == "must be a file that does not exist yet, in a folder that does"


def test_at_the_start_only_the_place_of_a_path_counts(images: Path) -> None:
    """At the first attempt another job must not have made the file, which would be overwritten. A retry finds the one
    that it left behind; one that has become a way out is refused.
    """
    param = PathParam(roots=(str(images),), exists=False)
    path = param.normal(f"{images}/new")
    assert param.at_start(path, True) == path
    (images / "new").write_text("half")
    with pytest.raises(ValueError, match="does not exist yet"):
        param.at_start(path, True)
    assert param.at_start(path) == path
    (images / "new").unlink()
    (images / "new").symlink_to("../secret")
    with pytest.raises(ValueError, match="must lie in"):
        param.at_start(path)


def test_a_root_that_leads_to_the_whole_machine_opens_nothing(images: Path) -> None:
    """Somebody has put a link in the place of the folder."""
    (images / "all").symlink_to("/")
    assert "must lie in" in refusal(PathParam(roots=(f"{images}/all",)), "/etc/passwd")


@pytest.mark.parametrize(
    "declaration",
    [
        {"type": "choice", "choices": ["a", "b"], "default": "a", "help": "Which."},
        {"type": "int", "min": 0, "max": 3, "default": 0},
        {"type": "string", "pattern": ".*", "max_length": 255},
        {"type": "path", "roots": ["/srv"], "exists": False},
    ],
)
def test_a_declaration_survives(declaration: dict[str, Any]) -> None:
    """On the way to the runner; a default of 0 is one."""
    param = param_from(declaration)
    assert param.to_dict() == declaration
    assert param_from(param.to_dict()) == param
    assert list(param.faults()) == []


@pytest.mark.parametrize(
    ("param", "fault"),
    [
        (IntParam(min=3, max=2), (("min",), "is 3: it must be at most max, which is 2")),
        (IntParam(min=0, max=2, default=5), (("default",), "is 5: it must be a whole number from 0 to 2")),
        (IntParam(min=0, max=2, default=True), (("default",), "is true: it must be a whole number from 0 to 2")),
        (ChoiceParam(choices=("a",), default="b"), (("default",), 'is "b": it must be one of a')),
        (StringParam(pattern="a", default="b"), (("default",), 'is "b": it must match a')),
        (
            PathParam(roots=("/srv",), default="/etc/passwd"),
            (("default",), 'is "/etc/passwd": it must lie in a folder that is open to this kind of job'),
        ),
    ],
)
def test_a_declaration_is_told_what_is_wrong_with_it(param: Param, fault: Any) -> None:
    """A default is a value like any other."""
    assert list(param.faults()) == [fault]


def test_a_default_path_need_not_exist_when_it_is_declared() -> None:
    """The daemon starts without the disk; the job won't."""
    assert list(PathParam(roots=("/srv",), default="/srv/nothing-here").faults()) == []


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "(?P<a>", "a{2,1}"])
def test_a_pattern_has_to_be_a_regular_expression(pattern: str) -> None:
    """And the reason is told."""
    assert regex_problem(pattern)
    assert regex_problem("[a-z]+") == ""
    ((steps, text),) = StringParam(pattern=pattern).faults()
    assert steps == ("pattern",)
    assert "it must be a regular expression (" in text
