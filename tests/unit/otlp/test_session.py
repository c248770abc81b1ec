"""Answers of a receiver over HTTP: bounded, and looked at."""

import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest
import requests
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from hvd.otlp import session as module
from hvd.otlp.session import LONGEST, Session, seconds_of
from tests.support.otlp import Answer, HttpReceiver, http_receiver, respond


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


def post(receiver: HttpReceiver, answer: Answer, timeout: float = 5) -> tuple[Session, requests.Response | None]:
    receiver.answer = answer
    with Session() as session:
        try:
            return session, session.request("POST", receiver.url, data=b"x", timeout=timeout)
        except requests.RequestException:
            return session, None


def test_what_was_thrown_away_is_taken_from_the_answer(receiver: HttpReceiver) -> None:
    """A receiver may take a part, and answers with 200 then."""
    answer = ExportMetricsServiceResponse()
    answer.partial_success.rejected_data_points = 3
    answer.partial_success.error_message = "too old"
    session, response = post(receiver, lambda handler: respond(handler, 200, answer.SerializeToString()))
    assert response is not None
    assert (session.take_refused(), session.take_refused(), session.trouble) == ("3 points: too old", "", "")
    for body in (b"", b"ok, thanks", b"{}"):
        session, response = post(receiver, lambda handler, body=body: respond(handler, 200, body))  # type: ignore[misc]
        assert response is not None
        assert response.content == body
        assert (session.take_refused(), session.trouble) == ("", "")


def test_the_certificates_of_the_exporter_come_first(receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not those of a variable that is for other programs, which requests takes before the session's own."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/others.pem")
    taken: list[object] = []

    def request(self: Session, method: str, url: str, **named: object) -> requests.Response:
        taken.append(named.get("verify"))
        raise requests.ConnectionError

    monkeypatch.setattr(requests.Session, "request", request)
    with Session() as session:
        for verify in (True, "/etc/own.pem"):
            session.verify = verify
            with pytest.raises(requests.ConnectionError):
                session.request("POST", receiver.url)
    assert taken == [None, "/etc/own.pem"]


def test_a_redirect_is_not_followed(receiver: HttpReceiver) -> None:
    """The exporter would take it for a success, and requests would carry the headers elsewhere."""
    session, response = post(receiver, lambda handler: respond(handler, 307, Location="http://elsewhere/"))
    assert response is None
    assert session.trouble == "it answers 307: set the endpoint to http://elsewhere/"


def test_an_error_is_told_in_the_words_of_the_receiver(receiver: HttpReceiver) -> None:
    """As far as they are of any use."""
    session, response = post(receiver, lambda handler: respond(handler, 401, b"no such key" + b"." * 1000))
    assert response is not None
    assert session.trouble == "it answers 401 Unauthorized: no such key" + "." * 189


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        *(("30", 30.0), ("1.5", 1.5), ("", 0.0), ("soon", 0.0), ("-5", 0.0), ("nan", 0.0), ("1e999", 0.0)),
        *(("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("Wed, 99 Oct 2015 07:28:00 GMT", 0.0)),
    ],
)
def test_a_receiver_may_want_nothing_for_a_while(receiver: HttpReceiver, header: str, seconds: float) -> None:
    """Said with the answer; what isn't as the standard has it is nothing, and so is what comes with a success."""
    session, response = post(receiver, lambda handler: respond(handler, 429, Retry_After=header))
    assert response is not None
    assert session.wait == seconds
    session, response = post(receiver, lambda handler: respond(handler, 200, Retry_After=header))
    assert session.wait == 0.0


def test_a_date_is_a_time_from_now_on() -> None:
    """Within the second that it is told in."""
    assert 58 <= seconds_of(formatdate(time.time() + 60, usegmt=True)) <= 60


def test_an_answer_takes_no_more_memory_and_time_than_it_is_worth(
    receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one that is large, or comes byte by byte, the rest is not read."""

    def endless(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(2**40))
        handler.end_headers()
        while True:
            handler.wfile.write(b"x" * 4096)

    def drip(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(1000):
            handler.wfile.write(b"x")
            time.sleep(0.02)

    def ignoring_the_end(answer: Answer) -> Answer:
        def wrapped(handler: Any) -> None:
            try:
                answer(handler)
            except OSError:
                handler.close_connection = True

        return wrapped

    _, response = post(receiver, ignoring_the_end(endless))
    assert response is not None
    assert len(response.content) == LONGEST + 1
    monkeypatch.setattr(module, "DEADLINE", 0.1)
    began = time.monotonic()
    post(receiver, ignoring_the_end(drip), timeout=0.5)
    assert time.monotonic() - began < 15


def test_the_reason_is_that_of_the_system(receiver: HttpReceiver) -> None:
    """And not what four libraries have made of it."""
    with Session() as session:
        with pytest.raises(requests.ConnectionError):
            session.request("POST", "http://127.0.0.1:1/", data=b"", timeout=5)
        assert session.trouble == "Connection refused"
    session, response = post(receiver, receiver.hang, timeout=0.1)
    assert response is None
    assert session.trouble.startswith("ReadTimeout: ")
