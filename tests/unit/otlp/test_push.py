"""A push reads the block, and sends all of it; or says why not."""

import threading
from collections.abc import Iterator

import pytest

from hvd.core.block import Block
from hvd.core.rows import Rows
from hvd.core.slots import Slots
from hvd.metrics.table import FAMILIES, HTTP
from hvd.otlp import push as module
from hvd.otlp.push import Push
from hvd.read.reading import BlockReader
from tests.support.otlp import HttpReceiver, http_receiver, respond
from tests.unit.figures import make_page, publish, start_worker
from tests.unit.otlp.support import options


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


def pushed(block: Block, receiver: HttpReceiver) -> Push:
    ended = threading.Event()
    push = Push(BlockReader(block), options(receiver.url), None, ended.set)
    push.start()
    push.join(20)
    assert ended.is_set()
    return push


def test_all_figures_are_sent_in_pieces(block: Block, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is in one of them."""
    Slots(block)
    rows = Rows(block, start_worker(block), FAMILIES)
    rows.record(HTTP, ("GET", "/", "200"), 1000)
    publish(block, make_page())
    whole = pushed(block, receiver)
    assert (whole.trouble, whole.refused, receiver.number) == ("", "", 1)
    monkeypatch.setattr(module, "PIECE", 2000)
    assert pushed(block, receiver).trouble == ""
    assert receiver.number > 3
    assert set(receiver.metrics(1)) == {*receiver.metrics(0)}
    assert receiver.metrics(1)["hvd_workers"].gauge.data_points[0].as_int == 1


def test_a_piece_that_is_not_accepted_does_not_keep_the_others(
    block: Block, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The push has failed all the same."""
    monkeypatch.setattr(module, "PIECE", 2000)

    def refuse_once(handler: object) -> None:
        receiver.answer = None
        respond(handler, 400, b"not this one")

    receiver.answer = refuse_once
    assert (
        pushed(block, receiver).trouble
        == f"{receiver.url} does not take metrics: it answers 400 Bad Request: not this one"
    )
    assert receiver.number > 2


def test_whatever_fails_is_told(block: Block, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A push never raises: nobody would see it."""
    monkeypatch.setattr(BlockReader, "read", lambda self, own: 1 / 0)
    assert pushed(block, receiver).trouble == "metrics can't be sent: division by zero"
