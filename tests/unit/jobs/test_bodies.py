"""Bodies: what is taken, what is refused and with which pointer, and that nothing hostile gets further."""

import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from hvd.jobs.bodies import BODY_MAX, JOBS_MAX, Submitted, fingerprint, parse, read_ids, read_submit
from hvd.jobs.ids import new_id


class Wrong(NamedTuple):
    """What a kind finds."""

    pointer: str
    detail: str


class FakeKind:
    """A kind with one parameter, `file`, an absolute path; `normal` doubles the slash."""

    def __init__(self, name: str) -> None:
        self.name = name

    def check(self, params: Mapping[str, Any]) -> list[Wrong]:
        if "file" not in params:
            return [Wrong("/file", "is missing")]
        return [Wrong(f"/{name}", "is unknown") for name in params if name != "file"]

    def normal(self, params: Mapping[str, Any]) -> dict[str, Any]:
        if params["file"] == "gone":
            raise ValueError("no such file")
        return {"file": f"//{params['file']}"}


KINDS: Any = {name: FakeKind(name) for name in ("checksum", "convert")}
GOOD = {"kind": "checksum", "params": {"file": "/a"}}


def submit(body: object) -> Submitted:
    """What is read of a body, after its way through JSON."""
    return read_submit(parse(json.dumps(body).encode()), KINDS)


def pointers(body: object) -> list[str]:
    """Where the body is wrong; nothing of it may be taken."""
    found = submit(body)
    assert not found.jobs
    assert found.rejected
    assert all(each["detail"] for each in found.errors)
    return [each["pointer"] for each in found.errors]


def test_one_job_is_taken_with_its_parameters_made_normal() -> None:
    """Its name is its kind's unless it has one."""
    found = submit(GOOD)
    assert [tuple(job) for job in found.jobs] == [("checksum", {"file": "///a"}, "checksum")]
    assert (found.rejected, found.errors) == (0, [])
    (job,) = submit(GOOD | {"name": "Prüfsumme 1"}).jobs
    assert job.name == "Prüfsumme 1"


def test_a_bad_job_of_many_does_not_refuse_the_others() -> None:
    """Each job's problems are at its own place."""
    bad = {"kind": "checksum", "params": {"fiel": 1}}
    found = submit({"jobs": [GOOD, bad, 7, GOOD | {"kind": "convert"}, GOOD | {"kind": "x"}]})
    assert [job.kind for job in found.jobs] == ["checksum", "convert"]
    assert found.rejected == 3
    assert [each["pointer"] for each in found.errors] == ["/jobs/1/params/file", "/jobs/2", "/jobs/4/kind"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (None, [""]),
        ([], [""]),
        ([GOOD], [""]),
        ("x", [""]),
        (7, [""]),
        ({}, ["/kind", "/params"]),
        ({"kind": "checksum"}, ["/params"]),
        ({"params": {}}, ["/kind"]),
        (GOOD | {"kind": 7}, ["/kind"]),
        (GOOD | {"kind": None}, ["/kind"]),
        (GOOD | {"kind": "nope"}, ["/kind"]),
        (GOOD | {"kind": ""}, ["/kind"]),
        (GOOD | {"kind": "checksum\0"}, ["/kind"]),
        (GOOD | {"params": []}, ["/params"]),
        (GOOD | {"params": "file"}, ["/params"]),
        (GOOD | {"params": {}}, ["/params/file"]),
        (GOOD | {"params": {"file": "gone"}}, ["/params"]),
        (GOOD | {"params": {"file": "/a", "more": 1}}, ["/params/more"]),
        (GOOD | {"nmae": "x"}, ["/nmae"]),
        (GOOD | {"a/b~c": "x"}, ["/a~1b~0c"]),
        (GOOD | {"": 1}, ["/"]),
        (GOOD | {"name": ""}, ["/name"]),
        (GOOD | {"name": 7}, ["/name"]),
        (GOOD | {"name": None}, ["/name"]),
        (GOOD | {"name": "x" * 201}, ["/name"]),
        (GOOD | {"name": "a\nb"}, ["/name"]),
        (GOOD | {"name": "\x1b[2J"}, ["/name"]),
        (GOOD | {"name": "a\u202eb"}, ["/name"]),
        (GOOD | {"name": "\ud800"}, ["/name"]),
        (GOOD | {"kind": "\udfff"}, ["/kind"]),
        (GOOD | {"params": {"file": "\ud800"}}, ["/params/file"]),
        (GOOD | {"params": {"file": {"x": ["a", "\ud800"]}}}, ["/params/file/x/1"]),
        (GOOD | {"params": {"\ud800": "a"}}, ["/params"]),
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
    found = submit({"jobs": []})
    assert (found.jobs, found.rejected) == ([], 0)
    assert found.errors[0]["pointer"] == "/jobs"


def test_as_many_jobs_as_may_be_are_taken() -> None:
    """In well under a second."""
    before = time.monotonic()
    assert len(submit({"jobs": [GOOD] * JOBS_MAX}).jobs) == JOBS_MAX
    assert time.monotonic() - before < 5


def test_an_unknown_member_is_named_in_words_that_print() -> None:
    """What a client sent is shown in ASCII, and not at any length."""
    (error,) = submit(GOOD | {"ä\x1b" + "x" * 500: 1}).errors
    assert error["pointer"] == "", "a name of that length would fill the answer"
    assert error["detail"].isascii()
    assert error["detail"].isprintable()
    assert "\\u00e4\\u001bxxx" in error["detail"]
    assert len(error["detail"]) < 200


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
    found = submit(job)
    assert (found.jobs, found.rejected) == ([], 1)
    assert 0 < len(found.errors) <= 12
    assert len(json.dumps(found.errors)) < 5000


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"{'kind': 1}", "line 1, column 2"),
        (b'{"a": 1} {}', "Extra data"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"\xff\xfe{\0}\0", "not UTF-8"),
        (b'{"a": "\xff"}', "byte 7"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a": "\0"}', "control character"),
        (b'{"a": NaN}', "no NaN"),
        (b"[Infinity]", "no Infinity"),
        (b"[-Infinity]", "no -Infinity"),
        (b"[1e999]", "too large"),
        (b"[-1e999]", "too large"),
        (b"[" + b"9" * 101 + b"]", "101 digits"),
        (b"[" + b"9" * 500_000 + b"]", "500000 digits"),
        (b"[1e" + b"9" * 500_000 + b"]", "too large"),
        (b'{"a": 1, "b": 2, "a": 1}', '"a"'),
        (b'{"params": {"a": 1, "\\u0061": 2}}', '"a"'),
        (b"[" * 33 + b"1" + b"]" * 33, "deeper than 32"),
        (b"[" * 5_000 + b"]" * 5_000, "deeper than 32"),
        (b"[" * 500_000, "deeper than 32"),
        (b'{"a":' * 150_000 + b"1" + b"}" * 150_000, "deeper than 32"),
    ],
)
def test_what_is_no_plain_json_is_refused(data: bytes, said: str) -> None:
    """In one printable line of bounded length."""
    with pytest.raises(ValueError, match=said) as caught:
        parse(data)
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 200


@pytest.mark.parametrize(
    "data", [b"[" * 32 + b"1" + b"]" * 32, b' \r\n{"a": [1, -2.5, "\\ud83d\\ude00"]}\n', b"1", b'"x"']
)
def test_plain_json_is_read(data: bytes) -> None:
    """As the library does it."""
    assert parse(data) == json.loads(data)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", [b"[],", b"0,", b'{"a":1},', b'"\\ud800",', b"1.5,"])
def test_the_largest_body_is_read_in_no_time(piece: bytes) -> None:
    """Whatever it consists of."""
    data = b"[" + piece * (BODY_MAX // len(piece) - 2) + b"0]"
    before = time.monotonic()
    assert submit({"jobs": [GOOD | {"params": {"file": parse(data)}}]})
    assert time.monotonic() - before < 10


def test_bodies_that_mean_the_same_have_one_fingerprint() -> None:
    """Blanks, order and escapes are no difference; values are."""
    one = parse(b'{"kind": "a", "params": {"x": 1, "y": "\\u00e4"}}')
    same = parse('{"params":{"y":"ä","x":1},"kind":"a"}'.encode())
    assert fingerprint(one) == fingerprint(same)
    for other in (b'{"kind":"a","params":{"x":2}}', b"[]", b"1", b"1.0", b'"1"', b"true", b'"\\ud800"'):
        assert fingerprint(parse(other)) != fingerprint(one)
    assert fingerprint(1) != fingerprint(1.0)


def test_ids_are_read_each_once() -> None:
    """What can't be an id is told apart: no database has to look for it."""
    first, second = new_id(), new_id()
    body = {"ids": [second, "x", first, second, "\ud800", first.upper(), f"{{{first}}}", "", "x"]}
    assert read_ids(body) == ([second, first], ["x", "\ud800", first.upper(), f"{{{first}}}", ""], [])


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (None, ""),
        ([], ""),
        ({}, "/ids"),
        ({"ids": []}, "/ids"),
        ({"ids": "x"}, "/ids"),
        ({"ids": ["x", 7]}, "/ids/1"),
        ({"ids": ["x"] * (JOBS_MAX + 1)}, "/ids"),
        ({"ids": ["x"], "id": "x"}, "/id"),
    ],
)
def test_lists_of_ids_that_are_none_are_refused(body: object, pointer: str) -> None:
    """With the place, as jobs are."""
    ids, malformed, errors = read_ids(body)
    assert (ids, malformed) == ([], [])
    assert [each["pointer"] for each in errors] == [pointer]
