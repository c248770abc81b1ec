"""`/api/v1/events`: all that are kept, or those after one."""

from types import SimpleNamespace

import falcon.testing
import pytest

from hvd.core.block import Block
from hvd.metrics.events import count_end, write_event
from hvd.web.app import create_app
from hvd.web.endpoints import ENDPOINTS
from hvd.web.here import Here
from tests.unit.web.asking import USUAL

PATH = "/api/v1/events"


@pytest.fixture
def client(block: Block, monkeypatch: pytest.MonkeyPatch) -> falcon.testing.TestClient:
    here = Here()
    here.parts = SimpleNamespace(block=block, settings=USUAL)  # type: ignore[assignment]
    monkeypatch.setattr("hvd.web.gate.check_scope", lambda *_, **__: None)  # see test_gate.py
    return falcon.testing.TestClient(create_app(here), headers={"Host": "127.0.0.1:8080"})


def test_events_after_one_are_answered(client: falcon.testing.TestClient, block: Block) -> None:
    """With the sequence of the newest, by which a client asks for the next ones, and what ended."""
    ends = {"planned": 0, "unplanned": 0, "failed_boots": 0}
    assert client.simulate_get(PATH).json == {"events": [], "newest": 0, "ends": ends}
    for text in ("a", "b"):
        write_event(block, "death", text, pid=7)
    with block.locked():
        count_end(block, "unplanned")
    answer = client.simulate_get(PATH, params={"after": "1"}).json
    (event,) = answer["events"]
    assert (event["sequence"], event["kind"], event["text"], event["pid"]) == (2, "death", "b", 7)
    assert (answer["newest"], answer["ends"]) == (2, {**ends, "unplanned": 1})
    assert client.simulate_get(PATH, params={"after": "2"}).json["events"] == []
    assert len(client.simulate_get(PATH).json["events"]) == 2


def test_the_document_says_which_sequences_there_may_be(client: falcon.testing.TestClient) -> None:
    """All of them are answered."""
    operation = next(one for one in ENDPOINTS if one.path == PATH).operations["get"]
    (after,) = operation.parameters
    for sequence in (after.schema["minimum"], after.schema["maximum"]):
        assert client.simulate_get(PATH, params={"after": str(sequence)}).status_code == 200
    assert client.simulate_get(PATH, params={"after": str(after.schema["maximum"] + 1)}).status_code == 400


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "9" * 30])
def test_what_is_no_sequence_is_refused(client: falcon.testing.TestClient, after: str) -> None:
    """As of any number."""
    assert client.simulate_get(PATH, params={"after": after}).status_code == 400
