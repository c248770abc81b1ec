"""GET /jobs/{id}/output: whole, in ranges, and as it comes."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hvd.jobs.transcript import Recorder
from hvd.web import output
from tests.support.jobs import together
from tests.unit.web.job_service import Client, FakeJobService, problem_of

TEXT = b"".join(b"line %d\n" % number for number in range(500))
LIMIT = 16 * 1024  # bytes, the least that may be set
FIRST = LIMIT // 4


class Scene:
    """A job that prints."""

    def __init__(self, service: FakeJobService, folder: Path, status: str) -> None:
        service.outputs = folder
        self.client = Client(service)
        self.job = service.jobs[service.add(status)]
        self.path = f"/jobs/{self.job.id}/output"
        self._recorder = Recorder(folder, self.job.id, 1, LIMIT)

    def prints(self, data: bytes = TEXT) -> "Scene":
        self._recorder.write(data)
        return self

    def close(self) -> None:
        self._recorder.close()


@pytest.fixture(params=["completed", "running"])
def scene(service: FakeJobService, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    made = Scene(service, tmp_path, request.param)
    yield made
    made.close()


@pytest.fixture
def running(service: FakeJobService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(output, "WAIT", 0.5)
    monkeypatch.setattr(output, "ASK", 0.1)
    made = Scene(service, tmp_path, "running")
    yield made
    made.close()


def test_all_of_it_is_plain_text(scene: Scene) -> None:
    """That no browser takes for anything else; HEAD says the same without it."""
    scene.prints()
    got = scene.client.get(scene.path)
    assert (got.status_code, got.content) == (200, TEXT)
    assert got.headers["content-type"].startswith("text/plain")
    expected = {"accept-ranges": "bytes", "x-content-type-options": "nosniff", "cache-control": "no-store"}
    assert {name: got.headers[name] for name in expected} == expected
    assert got.headers["hvd-job-status"] == scene.job.status
    head = scene.client.head(scene.path)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(TEXT)))


def test_one_that_has_printed_nothing_has_an_empty_output(scene: Scene) -> None:
    """Also where a part is asked for: there is none to be out of."""
    for asked in (None, "bytes=0-", "bytes=-5"):
        got = scene.client.get(scene.path, **({"Range": asked} if asked else {}))
        assert (got.status_code, got.content) == (200, b"")


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        *(("bytes=0-0", 0, 1), ("bytes=10-19", 10, 20), ("bytes=10-", 10, len(TEXT)), ("bytes=-7", -7, None)),
        *(("bytes=0-99999", 0, len(TEXT)), ("bytes=-99999", 0, len(TEXT)), ("bytes = 3-4 ", 3, 5)),
    ],
)
def test_a_range_is_given(scene: Scene, asked: str, start: int, end: int | None) -> None:
    """RFC 9110, section 14: with its place in the whole."""
    scene.prints()
    got = scene.client.get(scene.path, Range=asked)
    assert (got.status_code, got.content) == (206, TEXT[start:end])
    begin = start % len(TEXT)
    assert got.headers["content-range"] == f"bytes {begin}-{begin + len(got.content) - 1}/{len(TEXT)}"
    assert got.headers["content-length"] == str(len(got.content))


@pytest.mark.parametrize("asked", ["bytes=5-3", "lines=0-3", "bytes=0-1,4-5", "bytes=-", "bytes=x-", "0-3"])
def test_a_range_that_can_not_be_given_is_passed_over(scene: Scene, asked: str) -> None:
    """As section 14.2 says; so is one that depends on what we don't tell."""
    assert scene.prints().client.get(scene.path, Range=asked).content == TEXT
    assert scene.client.get(scene.path, Range="bytes=0-3", If_Range='"x"').content == TEXT


def test_a_range_behind_the_end_is_416(scene: Scene) -> None:
    """With how much there is."""
    scene.prints()
    for asked in (f"bytes={len(TEXT)}-", "bytes=99999-", "bytes=-0"):
        result = scene.client.get(scene.path, Range=asked)
        problem_of(result, 416)
        assert result.headers["content-range"] == f"bytes */{len(TEXT)}"


def test_what_was_left_out_is_said(scene: Scene) -> None:
    """In the whole by a line; a range that begins there is answered from where there is something again."""
    whole = TEXT * 20
    scene.prints(whole)
    got = scene.client.get(scene.path).content
    begin, _, end = got.partition(b"\n[hvd: ")
    told, _, end = end.partition(b" bytes are left out here]\n")
    assert begin == whole[:FIRST]
    assert whole.endswith(end)
    assert int(told) + len(begin) + len(end) == len(whole)
    assert len(end) > LIMIT // 2
    last = len(whole) - len(end)
    result = scene.client.get(scene.path, Range=f"bytes={FIRST}-")
    assert result.headers["content-range"] == f"bytes {last}-{len(whole) - 1}/{len(whole)}"
    assert result.content == end
    assert scene.client.get(scene.path, Range="bytes=10-").content == whole[10:FIRST]
    problem_of(scene.client.get(scene.path, Range=f"bytes={FIRST}-{FIRST + 5}"), 416)


@pytest.mark.parametrize("status", ["completed", "running"])
def test_no_answer_leaves_a_file_open(service: FakeJobService, tmp_path: Path, status: str) -> None:
    """With a body or without, of an error or not."""
    scene = Scene(service, tmp_path, status).prints()
    scene.close()
    before = len(os.listdir("/proc/self/fd"))
    for asked, query in ((None, ""), ("bytes=0-5", ""), ("bytes=9999-", ""), (f"bytes={len(TEXT)}-", "?follow=1")):
        scene.client.get(scene.path + query, **({"Range": asked} if asked else {}))
    scene.client.head(scene.path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_who_follows_gets_what_comes(running: Scene) -> None:
    """At once where there is something, else when there is, and 204 where nothing comes in time."""
    got = running.client.get(f"{running.path}?follow=1")
    assert (got.status_code, got.content, got.headers["hvd-job-status"]) == (204, b"", "running")
    running.prints(b"one\n")
    got = running.client.get(f"{running.path}?follow=1")
    assert (got.status_code, got.content) == (200, b"one\n"), "a part is for who asks for one"
    timer = threading.Timer(0.1, running.prints, [b"two\n"])
    timer.start()
    got = running.client.get(f"{running.path}?follow=1", Range="bytes=4-")
    timer.join()
    assert (got.status_code, got.content) == (206, b"two\n")
    problem_of(running.client.get(f"{running.path}?follow=1", Range="bytes=100-"), 416)


def test_who_follows_one_that_has_ended_does_not_wait(running: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor one who waits while it ends; what there is comes first."""
    monkeypatch.setattr(output, "WAIT", 60.0)
    running.prints(b"one\n")
    timer = threading.Timer(0.1, setattr, [running.job, "status", "failed"])
    timer.start()
    started = time.monotonic()
    got = running.client.get(f"{running.path}?follow=1", Range="bytes=4-")
    timer.join()
    assert (got.status_code, got.headers["hvd-job-status"]) == (204, "failed")
    assert time.monotonic() - started < 30
    assert running.client.get(f"{running.path}?follow=1").content == b"one\n"


def test_half_of_the_threads_wait_at_most(running: Scene) -> None:
    """The others are answered at once: requests that have nothing to do with it go on."""
    running.prints(b"x")

    def ask() -> float:
        started = time.monotonic()
        assert running.client.get(f"{running.path}?follow=1", Range="bytes=1-").status_code == 204
        return time.monotonic() - started

    took = together([ask] * 4)
    assert sum(seconds >= 0.5 for seconds in took) == 2, took


def test_a_piece_is_bounded(running: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one who follows."""
    monkeypatch.setattr(output, "FOLLOWED", 10)
    got = running.prints().client.get(f"{running.path}?follow=1", Range="bytes=5-")
    assert got.headers["content-range"] == f"bytes 5-14/{len(TEXT)}"


def test_where_it_is_kept_is_said(service: FakeJobService, tmp_path: Path) -> None:
    """Of a job that ran on another machine, or under another daemon; and a job that there is not has no output."""
    client, job_id = Client(service), service.add("completed")
    assert "ran on there" in problem_of(client.get(f"/jobs/{job_id}/output"), 404)["detail"]
    service.outputs = tmp_path
    assert client.get(f"/jobs/{job_id}/output").status_code == 200, "it may have printed nothing"
    service.jobs[job_id].output = ["a line"]
    assert "not kept here" in problem_of(client.get(f"/jobs/{job_id}/output"), 404)["detail"]
    problem_of(client.get("/jobs/x/output"), 404)
    problem_of(client.get(f"/jobs/{job_id}/output", Accept="application/json"), 406)
    for query in ("?follow=2", "?tail=1"):
        problem_of(client.get(f"/jobs/{job_id}/output{query}"), 400)
