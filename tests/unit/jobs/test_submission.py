"""Submissions: what is taken, what is refused and with which pointer, and that nothing hostile gets further."""

import json
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from hvd.jobs.job import NewJob
from hvd.jobs.strict_json import parse
from hvd.jobs.submission import JOBS_MAX, Submission, SubmissionKey, check_submission
from hvd.json_schemas import Problem


class FakeKind:
    """A kind with one parameter, `file`, an absolute path, before which its check puts two slashes."""

    def __init__(self, name: str) -> None:
        self.name = name

    def check(self, params: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
        if "file" not in params:
            return {}, [Problem("/file", "is missing")]
        return {"file": f"//{params['file']}"}, [Problem(f"/{name}", "is unknown") for name in params if name != "file"]


KINDS: Any = {name: FakeKind(name) for name in ("checksum", "convert")}
GOOD = {"kind": "checksum", "params": {"file": "/a"}}


def submit(body: object) -> Submission:
    """What is read of a body, after its way through JSON."""
    return check_submission(parse(json.dumps(body).encode()), KINDS)


def pointers(body: object) -> list[str]:
    """Where the body is wrong; nothing of it may be taken."""
    submission = submit(body)
    assert not submission.jobs
    assert submission.rejected
    assert all(problem.detail for problem in submission.problems)
    return [problem.pointer for problem in submission.problems]


def test_one_job_is_taken_with_its_parameters_made_normal() -> None:
    """Its name is its kind's unless it has one."""
    submission = submit(GOOD)
    assert submission.jobs == [NewJob(KINDS["checksum"], {"file": "///a"}, "checksum")]
    assert (submission.rejected, submission.problems) == (0, [])
    (job,) = submit(GOOD | {"name": "Prüfsumme 1"}).jobs
    assert job.name == "Prüfsumme 1"


def test_a_bad_job_of_many_does_not_refuse_the_others() -> None:
    """Each job's problems are at its own place."""
    bad = {"kind": "checksum", "params": {"fiel": 1}}
    submission = submit({"jobs": [GOOD, bad, 7, GOOD | {"kind": "convert"}, GOOD | {"kind": "x"}]})
    assert [job.kind.name for job in submission.jobs] == ["checksum", "convert"]
    assert submission.rejected == 3
    assert [problem.pointer for problem in submission.problems] == ["/jobs/1/params/file", "/jobs/2", "/jobs/4/kind"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        *((body, [""]) for body in (None, [GOOD] * (JOBS_MAX + 1), "x", 7)),
        ({}, ["/kind", "/params"]),
        ({"kind": "checksum"}, ["/params"]),
        ({"params": {}}, ["/kind"]),
        *((GOOD | {"kind": kind}, ["/kind"]) for kind in (7, None, "nope", "", "checksum\0", "\udfff")),
        *((GOOD | {"params": params}, ["/params"]) for params in ([], "file", {"\ud800": "a"})),
        (GOOD | {"params": {}}, ["/params/file"]),
        (GOOD | {"params": {"file": "/a", "more": 1}}, ["/params/more"]),
        (GOOD | {"nmae": "x"}, ["/nmae"]),
        (GOOD | {"a/b~c": "x"}, ["/a~1b~0c"]),
        (GOOD | {"": 1}, ["/"]),
        *((GOOD | {"name": name}, ["/name"]) for name in ("", 7, None, "x" * 201)),
        *((GOOD | {"name": name}, ["/name"]) for name in ("a\nb", "\x1b[2J", "a\u202eb", "\ud800")),
        (GOOD | {"params": {"file": "\ud800"}}, ["/params/file"]),
        (GOOD | {"params": {"file": {"x": ["a", "\ud800"]}}}, ["/params/file/x/1"]),
        ({"jobs": {}}, ["/jobs"]),
        ({"jobs": None}, ["/jobs"]),
        ({"jobs": [[]]}, ["/jobs/0"]),
        ({"jobs": [GOOD] * (JOBS_MAX + 1)}, ["/jobs"]),
        ({"jobs": [GOOD], "kind": "checksum"}, ["/kind"]),
        ({"jobs": [{"kind": "checksum", "params": {"file": "\ud800"}}]}, ["/jobs/0/params/file"]),
    ],
)
def test_what_is_wrong_is_pointed_at(body: object, expected: list[str]) -> None:
    """By a pointer into the body as it was sent."""
    assert pointers(body) == expected


def test_no_jobs_are_none_rejected() -> None:
    """The list is wrong, no job is."""
    submission = submit({"jobs": []})
    assert (submission.jobs, submission.rejected) == ([], 0)
    assert submission.problems[0].pointer == "/jobs"


def test_as_many_jobs_as_may_be_are_taken() -> None:
    """One more would be too many."""
    assert len(submit({"jobs": [GOOD] * JOBS_MAX}).jobs) == JOBS_MAX


def test_an_unknown_member_is_named_in_words_that_print() -> None:
    """What a client sent is shown in ASCII, and not at any length."""
    (problem,) = submit(GOOD | {"ä\x1b" + "x" * 500: 1}).problems
    assert problem.pointer == "", "a name of that length would fill the answer"
    assert problem.detail.isascii()
    assert problem.detail.isprintable()
    assert "\\u00e4\\u001bxxx" in problem.detail
    assert len(problem.detail) < 200


@pytest.mark.parametrize(
    "job",
    [
        {f"m{index}": 1 for index in range(50_000)},
        GOOD | {"params": {"file": "/a"} | {f"m{index}": 1 for index in range(50_000)}},
        GOOD | {"params": {"file": ["\ud800"] * 50_000}},
        GOOD | {"name": "x" * 900_000},
        GOOD | {"kind": "x" * 900_000},
    ],
)
def test_the_answer_to_a_megabyte_of_nonsense_is_small(job: dict[str, Any]) -> None:
    """One job's problems are bounded, and so is each text."""
    submission = submit(job)
    assert (submission.jobs, submission.rejected) == ([], 1)
    assert 0 < len(submission.problems) <= 12
    assert len(json.dumps(submission.problems)) < 5000


def calls_to_read(data: bytes) -> int:
    """How many calls it takes to parse this and to check it as a job's parameter: unlike seconds, always the same."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        check_submission(GOOD | {"params": {"file": parse(data)}}, KINDS)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("piece", [b"[],", b"0,", b'{"a":1},', b'"\\ud800",', b"1.5,"])
def test_a_body_is_read_in_time_that_grows_with_its_length_alone(piece: bytes) -> None:
    """Whatever it consists of: twice as much takes twice the calls, so the largest body takes no long time."""
    once, twice = (calls_to_read(b"[" + piece * number + b"0]") for number in (4000, 8000))
    assert twice <= 2 * once


def fingerprint(body: object) -> str:
    return SubmissionKey.of("key", body).fingerprint


def test_bodies_that_mean_the_same_have_one_fingerprint() -> None:
    """Blanks, order and escapes are no difference; values are."""
    one = parse(b'{"kind": "a", "params": {"x": 1, "y": "\\u00e4"}}')
    same = parse('{"params":{"y":"ä","x":1},"kind":"a"}'.encode())
    assert fingerprint(one) == fingerprint(same)
    for other in (b'{"kind":"a","params":{"x":2}}', b"[]", b"1", b"1.0", b'"1"', b"true", b'"\\ud800"'):
        assert fingerprint(parse(other)) != fingerprint(one)
    assert fingerprint(1) != fingerprint(1.0)


def test_an_array_is_a_batch() -> None:
    """Each of its jobs is checked by itself, and pointed to by its number."""
    submission = submit([GOOD, {"kind": "checksum"}, GOOD])
    assert (len(submission.jobs), submission.rejected) == (2, 1)
    assert [problem.pointer for problem in submission.problems] == ["/1/params"]
    empty = submit([])
    assert (empty.jobs, empty.rejected, empty.problems[0].pointer) == ([], 0, "")
