"""Telling the aggregator: a courtesy that never waits."""

from hvd.jobs.events import Events, channel, receive


def test_what_is_told_arrives_in_order() -> None:
    """As it was sent, one packet a job."""
    writers, reader = channel()
    with writers, reader:
        for number in range(3):
            Events(writers).send({"id": str(number), "params": {"name": "ä" * 1000}})
        assert [receive(reader) for _ in range(4)] == [
            *({"id": str(number), "params": {"name": "ä" * 1000}} for number in range(3)),
            None,
        ]


def test_a_full_channel_drops_and_does_not_wait() -> None:
    """While no aggregator reads."""
    writers, reader = channel()
    with writers, reader:
        for number in range(5000):
            Events(writers).send({"id": number, "fill": "x" * 1000})
        assert receive(reader) == {"id": 0, "fill": "x" * 1000}


def test_neither_a_huge_job_nor_a_closed_reader_raises() -> None:
    """The job is in the database all the same."""
    writers, reader = channel()
    with writers:
        Events(writers).send({"fill": "x" * 10_000_000})
        assert receive(reader) is None
        reader.close()
        Events(writers).send({"id": 1})


def test_garbage_is_no_job() -> None:
    """What isn't a JSON object is passed over."""
    writers, reader = channel()
    with writers, reader:
        for packet in (b"\xff", b"{", b"[1]", b'"x"'):
            writers.send(packet)
            assert receive(reader) is None
