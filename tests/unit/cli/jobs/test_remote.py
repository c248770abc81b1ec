"""What is asked of a daemon, and what its refusals become."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from hvd.cli.client import Address
from hvd.cli.jobs.remote import Piece, Remote, errors_of
from hvd.errors import DaemonRefused, DaemonUnreachable
from tests.unit.cli.daemon import ID, OTHER, daemon, job, jobs_answer

CANCELLED = {"cancelled": [ID], "cancelling": [], "ended": [OTHER], "unknown": []}
ODD = {"kinds": 7, "jobs": [1], "id": None, "job_ids": "x", "unknown": {}, "cancelled": "all"}
"""What another service may answer, fields of ours among it."""


def remote(url: str, token: str = "") -> Remote:
    return Remote(replace(Address.parse(url), token=token), 5.0)


def test_a_submission_has_key_and_token() -> None:
    """Where there are any; the token is sent as UTF-8."""
    with daemon((202, {"job_ids": [ID]})) as (url, requests):
        assert remote(url, "gehütet").submit({"kind": "a"}, "k 1") == {"job_ids": [ID]}
        remote(url).submit({"kind": "a"})
    first, second = requests
    assert (first.method, first.path, first.body) == ("POST", "/jobs/submit", {"kind": "a"})
    assert first.headers["Idempotency-Key"] == "k 1"
    assert first.headers["Authorization"].encode("latin-1").decode() == "Bearer gehütet"
    assert not {"Idempotency-Key", "Authorization"} & set(second.headers)


def test_what_only_looks_sends_no_token() -> None:
    """It goes over the wire in the clear; only where the daemon asks for it is it sent."""
    answers = (200, {"kinds": {}}), (200, {"jobs": []}), (200, job()), jobs_answer(job()), (200, CANCELLED)
    with daemon(*answers) as (url, requests):
        one = remote(url, "t")
        one.kinds(), one.page([], [], 5, None), one.get(ID), one.query([ID]), one.cancel([ID])
    assert ["Authorization" in request.headers for request in requests] == [False] * 4 + [True]
    with daemon((401, {"detail": "a token"}), (200, {"jobs": []})) as (url, requests):
        assert remote(url, "t").page([], [], 5, None) == {"jobs": []}
    assert [request.headers.get("Authorization") for request in requests] == [None, "Bearer t"]


def test_a_page_is_asked_for_with_its_filters() -> None:
    """None of those that aren't set."""
    with daemon((200, {"jobs": []})) as (url, requests):
        remote(url).page(["pending", "failed"], ["a&b"], 7, ID)
        remote(url).page([], [], 50, None)
    assert [request.path for request in requests] == [
        f"/jobs?status=pending%2Cfailed&kind=a%26b&limit=7&before={ID}",
        "/jobs?limit=50",
    ]


def test_an_id_can_not_lead_elsewhere() -> None:
    """It is one step of the path."""
    with daemon((404, {"detail": "none"})) as (url, requests), pytest.raises(DaemonRefused):
        remote(url).get("../status?a#ü")
    assert requests[0].path == "/jobs/..%2Fstatus%3Fa%23%C3%BC"


def test_many_ids_are_asked_for_in_lots() -> None:
    """As many as a daemon takes at once; the answers are one."""
    ids = [f"{index}" for index in range(2500)]
    with daemon(jobs_answer(job(), unknown=("x",))) as (url, requests):
        jobs, unknown = remote(url).query(ids)
    assert [len(request.body["ids"]) for request in requests] == [1000, 1000, 500]
    assert (len(jobs), unknown) == (3, ["x", "x", "x"])
    with daemon((200, CANCELLED)) as (url, requests):
        outcomes = remote(url).cancel(ids)
    assert outcomes == {"cancelled": [ID] * 3, "cancelling": [], "ended": [OTHER] * 3, "unknown": []}


def test_a_refusal_says_what_the_daemon_said() -> None:
    """With all that was wrong, if it is more than one thing."""
    errors = [{"pointer": "/jobs/0/kind", "detail": "is missing"}, {"detail": "the queue is full"}]
    refusal = 422, {"detail": "two are wrong", "errors": errors}
    with daemon(refusal) as (url, _), pytest.raises(DaemonRefused) as caught:
        remote(url).submit({})
    assert caught.value.status == 422
    assert str(caught.value).splitlines() == [
        f"{url} refused (422): two are wrong",
        "  /jobs/0/kind: is missing",
        "  the queue is full",
    ]
    for answer, said in (({"title": "Busy"}, "(503): Busy"), ({}, "does not say why"), ({"errors": 7}, "say why")):
        with daemon((503, answer)) as (url, _), pytest.raises(DaemonRefused) as caught:
            remote(url).get(ID)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)


def test_many_mistakes_are_not_told_without_end() -> None:
    """A thousand jobs of a batch can be wrong."""
    lines = errors_of({"errors": [{"pointer": "/a", "detail": "x"}] * 1000 + ["odd"]})
    assert len(lines) == 51
    assert lines[-1] == "... and 950 more"


def test_output_is_asked_for_whole_and_from_a_byte_on() -> None:
    """As it is; where the piece begins is the daemon's to say."""
    status = {"Hvd-Job-Status": "running"}
    part = 206, b"\xffb", {**status, "Content-Range": "bytes 70-71/72"}
    with daemon((200, b"\xffa\n", status), part, (204, b"", status)) as (url, requests):
        one = remote(url, "t")
        assert one.output(ID) == Piece(0, b"\xffa\n", "running")
        assert one.output(ID, 5) == Piece(70, b"\xffb", "running")
        assert one.output(ID, 72) == Piece(0, b"", "running")
    assert [(request.path, request.headers.get("Range")) for request in requests] == [
        (f"/jobs/{ID}/output", None),
        (f"/jobs/{ID}/output?follow=1", "bytes=5-"),
        (f"/jobs/{ID}/output?follow=1", "bytes=72-"),
    ]
    assert not any("Authorization" in request.headers for request in requests)


def test_what_is_no_output_is_an_error() -> None:
    """A refusal, with what it says, or an answer of something else."""
    with daemon((404, {"detail": "kept on there"})) as (url, _), pytest.raises(DaemonRefused, match="kept on"):
        remote(url).output(ID)
    for odd in ((502, b"["), (200, b"<html>"), (206, b"x", {"Hvd-Job-Status": "running", "Content-Range": "bytes x"})):
        with daemon(odd) as (url, _), pytest.raises(DaemonUnreachable, match="is not hvd"):
            remote(url).output(ID)


@pytest.mark.parametrize("answer", [{}, ODD])
@pytest.mark.parametrize(
    "ask",
    [
        lambda one: one.submit({}),
        lambda one: one.kinds(),
        lambda one: one.page([], [], 5, None),
        lambda one: one.get(ID),
        lambda one: one.query([ID]),
        lambda one: one.cancel([ID]),
        lambda one: one.retry(ID),
        lambda one: one.output(ID),
    ],
)
def test_another_service_is_not_taken_for_hvd(answer: dict[str, object], ask: Callable[[Remote], object]) -> None:
    """Whatever JSON it answers: nothing was submitted, cancelled or retried. Nor is it where it knows no such path."""
    for status in (200, 404):
        with daemon((status, answer)) as (url, _), pytest.raises(DaemonUnreachable, match=rf"^{url} .* it is not hvd"):
            ask(remote(url))


def test_a_fault_is_no_refusal_and_a_token_has_a_remedy() -> None:
    """The first may be over soon."""
    with (
        daemon((500, {"title": "500"})) as (url, _),
        pytest.raises(DaemonUnreachable, match="GET /jobs/kinds; see its"),
    ):
        remote(url).kinds()
    with (
        daemon((403, {"detail": "needs jobs"})) as (url, _),
        pytest.raises(DaemonRefused, match=r"needs jobs .*HVD_TOKEN"),
    ):
        remote(url).kinds()
