"""What requests to the jobs say: bodies that are none, too large or cut off, keys, and parameters."""

import io
import json
from typing import Any

import pytest
from gunicorn.http.errors import ChunkMissingTerminator, NoMoreData

from hvd.jobs.listing import TEXT_MAX
from hvd.jobs.submission import BODY_MAX, KEY_MAX
from tests.unit.web.job_service import GOOD, Client, FakeJobService, problem_of

POSTS = ("/jobs/submit", "/jobs/query", "/jobs/cancel")


@pytest.mark.parametrize("key", ["", "x" * (KEY_MAX + 1), "schlüssel", "a\tb", "a\x7f"])
def test_a_key_must_be_plain(client: Client, service: FakeJobService, key: str) -> None:
    """Printable ASCII, 255 at most."""
    assert "Idempotency-Key" in problem_of(client.post("/jobs/submit", GOOD, Idempotency_Key=key), 400)["detail"]
    assert not service.jobs
    assert client.post("/jobs/submit", GOOD, Idempotency_Key="~" * KEY_MAX).status_code == 202


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff", b'{"a": NaN}', b"[" * 100_000, b'{"kind": "a", "kind": "a"}', b"[1e999]", b"9" * 5000],
)
def test_what_is_no_json_is_400(client: Client, path: str, data: bytes) -> None:
    """Wherever a body is read."""
    problem_of(client.send(path, data, Content_Type="application/json"), 400)


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    ("media_type", "status"),
    [
        *((other, 415) for other in (None, "", "text/plain", "application/x-www-form-urlencoded")),
        *((f"application/{other}", 415) for other in ("jsonx", "problem+json")),
        *((f"application/json{other}", 400) for other in ("; charset=latin-1", ";charset=utf-16", "; charset=")),
    ],
)
def test_only_json_in_utf_8_is_read(client: Client, path: str, media_type: str | None, status: int) -> None:
    """A form of another site can't say that it is JSON."""
    headers: dict[str, Any] = {} if media_type is None else {"Content_Type": media_type}
    problem_of(client.send(path, json.dumps(GOOD).encode(), **headers), status)


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "Application/JSON", 'application/json; charset="UTF-8"', "application/json;x=y; charset=utf8"],
)
def test_json_is_read_however_it_is_announced(client: Client, media_type: str) -> None:
    """In any case, with a charset that is the right one, with parameters that mean nothing."""
    assert client.send("/jobs/submit", json.dumps(GOOD).encode(), Content_Type=media_type).status_code == 202


def test_a_compressed_body_is_not_read(client: Client) -> None:
    """415: it could be a thousand times as large."""
    problem_of(client.post("/jobs/submit", GOOD, Content_Encoding="gzip"), 415)
    assert client.post("/jobs/submit", GOOD, Content_Encoding="identity").status_code == 202


class Stream(io.BytesIO):
    """Input of a server that notes how much of it was read, and can break."""

    def __init__(self, data: bytes = b"", error: Exception | None = None) -> None:
        super().__init__(data)
        self._error = error

    def read(self, size: int | None = -1) -> bytes:
        if self._error:
            raise self._error
        return super().read(size)


def test_a_body_that_is_announced_too_large_is_refused_unread(client: Client) -> None:
    """413 at once."""
    stream = Stream(b" " * 100)
    extras = {"wsgi.input": stream, "CONTENT_LENGTH": str(BODY_MAX + 1)}
    problem_of(client.send("/jobs/submit", b"", extras, Content_Type="application/json"), 413)
    assert stream.tell() == 0


def test_a_chunked_body_is_read_up_to_the_limit(client: Client) -> None:
    """413 once it is passed; what fits is read."""
    for size, status in ((BODY_MAX, 202), (BODY_MAX + 1, 413), (10 * BODY_MAX, 413)):
        stream = Stream(json.dumps(GOOD).encode().ljust(size))
        extras = {"wsgi.input": stream, "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
        result = client.send("/jobs/submit", b"", extras, Content_Type="application/json")
        assert result.status_code == status
        assert stream.tell() <= BODY_MAX + 1


@pytest.mark.parametrize("error", [NoMoreData(), ChunkMissingTerminator(b"x"), ConnectionResetError(), TimeoutError()])
def test_a_body_that_breaks_off_is_400(client: Client, error: Exception) -> None:
    """Not a traceback: gunicorn reads the body while the app asks for it."""
    for extras in ({"wsgi.input_terminated": True}, {"CONTENT_LENGTH": "50"}):
        given = {"wsgi.input": Stream(error=error)} | extras
        problem_of(client.send("/jobs/submit", b"", given, Content_Type="application/json"), 400)


def test_a_body_shorter_than_announced_is_400(client: Client, service: FakeJobService) -> None:
    """Even if what came is a job."""
    extras = {"wsgi.input": Stream(json.dumps(GOOD).encode()), "CONTENT_LENGTH": "200"}
    problem_of(client.send("/jobs/submit", b"", extras, Content_Type="application/json"), 400)
    assert not service.jobs


@pytest.mark.parametrize(
    ("query", "named"),
    [
        *((f"status={value}", "status") for value in ("done", "", "pending,", "Pending")),
        *((f"kind={value}", "kind") for value in ("a%20b", "", "%00")),
        *((f"limit={value}", "limit") for value in ("0", "501", "-1", "1e2", "%D9%A1", "", "5&limit=6", "5,6")),
        *((f"before={value}", "before") for value in ("x", "", "019AB6B1-0000-7000-8000-000000000000")),
        ("before=running.019ab6b1-0000-7000-8000-000000000000", "before"),
        ("order=open&before=019ab6b1-0000-7000-8000-000000000000", "before"),
        ("order=oldest", "order"),
        ("order=open,newest", "order"),
        ("search=a&search=b", "search"),
        ("search=a%0Ab", "search"),
        ("search=%1b", "search"),
        (f"search={'a' * (TEXT_MAX + 1)}", "search"),
        ("after=x", "after"),
        ("statuss=pending", "statuss"),
        ("%1b=x", "u001b"),
        ("status=%ff", "query"),
        ("a=1&" * 100, "query"),
    ],
)
def test_a_parameter_that_is_wrong_is_named(client: Client, service: FakeJobService, query: str, named: str) -> None:
    """400 rather than a list of something else."""
    detail = problem_of(client.get(f"/jobs?{query}"), 400)["detail"]
    assert named in detail
    assert detail.isprintable()
    assert not service.wanted
