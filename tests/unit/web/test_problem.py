"""Problems (RFC 9457): their members, and the two ways in which they are sent."""

import json
import logging
import time
from datetime import datetime
from typing import Any

import falcon
import pytest
from falcon import testing

from hvd.web import problem


def unix_time(text: str) -> float:
    """Of a time in RFC 3339."""
    return datetime.fromisoformat(text).timestamp()


def usual(members: dict[str, Any]) -> dict[str, Any]:
    """The members without those that only existing clients look at, which are there."""
    assert members["error"] == members["detail"]
    assert unix_time(members["timestamp"]) > 0
    return {name: value for name, value in members.items() if name not in ("error", "timestamp")}


def test_a_problem_says_status_title_and_detail() -> None:
    """`type` is left out, which means that the title is the status' own (section 4.2.1)."""
    members = json.loads(problem.problem(404, "no such thing"))
    assert abs(unix_time(members.pop("timestamp")) - time.time()) < 60
    assert members == {
        "status": 404,
        "title": "Not Found",
        "detail": "no such thing",
        "error": "no such thing",
    }


def test_what_is_not_known_is_left_out() -> None:
    """No empty detail; a status that nobody registered has a title all the same."""
    for status, title in ((404, "Not Found"), (799, "Error")):
        members = json.loads(problem.problem(status, ""))
        assert {name: members[name] for name in members if name != "timestamp"} == {
            "status": status,
            "title": title,
            "error": title,
        }


def test_a_whole_response_ends_the_connection() -> None:
    """Status line, date, type and exact length; what the client sent can't break out of the JSON."""
    detail = 'Invalid "line"\r\nX: y grüße'
    head, _, body = problem.problem_response(431, detail).partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert first == "HTTP/1.1 431 Request Header Fields Too Large"
    assert headers["Connection"] == "close"
    assert headers["Content-Type"] == "application/problem+json"
    assert int(headers["Content-Length"]) == len(body)
    assert headers["Date"].endswith(" GMT")
    assert json.loads(body)["detail"] == detail


class Failing:
    """Raises what it was made with."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        raise self._error


def answer(error: BaseException, **headers: str) -> testing.Result:
    """What a client gets from an app whose resource raises this."""
    app: Any = falcon.App()
    app.set_error_serializer(problem.serialize)
    app.add_error_handler(Exception, problem.unexpected)
    app.add_route("/", Failing(error))
    return testing.TestClient(app).simulate_get("/", headers=headers)


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "*/*", "nonsense"])
def test_an_error_is_a_problem_whatever_is_accepted(accept: str) -> None:
    """A client that asked for something else can still tell what went wrong."""
    result = answer(falcon.HTTPServiceUnavailable(description="later", retry_after=2), Accept=accept)
    assert result.status_code == 503
    assert result.headers["content-type"] == "application/problem+json"
    assert result.headers["retry-after"] == "2"
    assert usual(result.json) == {"status": 503, "title": "Service Unavailable", "detail": "later"}


def test_404_and_405_without_detail_get_one() -> None:
    """The index is where to look; the header says which methods there are."""
    assert "GET /" in answer(falcon.HTTPNotFound()).json["detail"]
    result = answer(falcon.HTTPMethodNotAllowed(["POST", "OPTIONS"]))
    assert "GET is not served" in result.json["detail"]
    assert result.headers["allow"] == "POST, OPTIONS"


def test_a_title_of_its_own_is_kept() -> None:
    """Unless it only repeats the status line."""
    assert answer(falcon.HTTPConflict(title="Taken", description="by another")).json["title"] == "Taken"


def test_members_of_its_own_stand_beside_the_usual_ones() -> None:
    """Whatever a client can use (section 3.2); a title that only repeats the status is the status' phrase."""
    result = answer(problem.ProblemError(422, "two are wrong", errors=[{"pointer": "/a"}], accepted=0))
    assert result.status_code == 422
    assert result.json["title"].startswith("Unprocessable ")
    assert usual(result.json) == {
        "status": 422,
        "title": result.json["title"],
        "detail": "two are wrong",
        "errors": [{"pointer": "/a"}],
        "accepted": 0,
    }


def test_an_unexpected_exception_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """The traceback is for the log, the 500 for the client."""
    with caplog.at_level(logging.ERROR, "hvd.web"):
        result = answer(ValueError("a secret"))
    assert result.status_code == 500
    assert result.headers["content-type"] == "application/problem+json"
    assert "secret" not in result.text
    assert "ValueError: a secret" in caplog.text
